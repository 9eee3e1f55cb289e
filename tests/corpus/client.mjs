// SPDX-License-Identifier: Apache-2.0
// client.mjs DIR: makes the exchanges of DIR/requests.jsonl (peers_h2.py requests) with node's HTTP/2, which is nghttp2.
//
// Several connections, each with up to AT_ONCE streams at a time: a file's exchanges one after the other, of several
// files at the same time. Padding, windows and the pieces of bodies differ from connection to connection.
import fs from 'node:fs'
import http2 from 'node:http2'

const CONNECTIONS = 6, AT_ONCE = 8, EACH = 300
const dir = process.argv[2]
const port = fs.readFileSync(`${dir}/port`, 'utf8')
const requests = fs.readFileSync(`${dir}/requests.jsonl`, 'utf8').trim().split('\n').map(line => JSON.parse(line))

// A file's exchanges.
const files = []
for (const r of requests) {
  if (files.at(-1)?.[0].file !== r.file) files.push([])
  files.at(-1).push(r)
}

const made = fs.openSync(`${dir}/made.node`, 'w')

function headersOf(r) {
  const headers = { ':method': r.method, ':path': r.target, ':authority': r.host, ':scheme': 'https' }
  for (const [name, value] of r.headers) {
    if (!(name in headers)) headers[name] = value
    else if (name === 'anthropic-beta' || name.startsWith('x-')) headers[name] = [headers[name], value].flat()
  }
  return headers
}

function* pieces(body, i) {
  const longest = [40, 700, 16384, 100000][i % 4]
  for (let at = 0; at < body.length;) {
    const n = Math.max(1 + Math.floor(Math.random() * longest), Math.ceil(body.length / 200))
    yield body.subarray(at, at + n)
    at += n
  }
}

function exchange(session, r) {
  return new Promise((done, failed) => {
    const body = Buffer.from(r.body, 'base64')
    const stream = session.request(headersOf(r), { endStream: !body.length })
    stream.on('error', failed)
    stream.on('data', () => {})
    stream.on('end', () => {
      fs.writeSync(made, `${r.number}\n`)
      done()
    })
    for (const piece of pieces(body, r.number)) stream.write(piece)
    if (body.length) stream.end()
  })
}

function connect(i) {
  return http2.connect(`https://127.0.0.1:${port}`, {
    rejectUnauthorized: false,
    servername: 'h2.example',
    paddingStrategy: i % 3,
    settings: { initialWindowSize: [3000, 65535, 1 << 20][i % 3], maxHeaderListSize: 1 << 20, enablePush: false },
    maxSessionMemory: 100,
  })
}

async function connection(i) {
  while (files.length) {
    const session = connect(i)
    let left = EACH
    const slot = async () => {
      while (files.length && left > 0) {
        const file = files.shift()
        left -= file.length
        for (const r of file) await exchange(session, r)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, slot))
    await new Promise(done => session.close(done))
  }
}

await Promise.all(Array.from({ length: CONNECTIONS }, (_, i) => connection(i)))
