/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "probe/files.h"

struct inode_key {
	uint64_t dev, ino;
};

struct mapping {
	uint64_t generation;
	struct file *file;
	unsigned tries;
};

static uint64_t mtime_ns(const struct stat *st)
{
	return (uint64_t)st->st_mtim.tv_sec * 1000000000 + (uint64_t)st->st_mtim.tv_nsec;
}

struct file *files_find(const struct files *fs, const struct stat *st)
{
	struct inode_key key = {st->st_dev, st->st_ino};

	return map_get(&fs->by_inode, &key, sizeof(key));
}

bool file_is_changed(const struct file *f, const struct stat *st)
{
	return f->mtime != mtime_ns(st) || f->size != (uint64_t)st->st_size;
}

static void file_free(struct file *f)
{
	free(f->links.fds);
	free(f->target);
	free(f->name);
	free(f);
}

static void forget_mappings(struct files *fs)
{
	struct map_entry *e;

	map_foreach (&fs->by_mapping, e)
		free(e->value);
	map_release(&fs->by_mapping);
}

static void forget_mappings_of(struct files *fs, const struct file *f)
{
	struct map_entry *e;

	map_foreach (&fs->by_mapping, e) {
		struct mapping *m = e->value;

		if (m->file == f)
			m->file = NULL, m->tries = 0;
	}
}

static void forget_unprobed(struct files *fs)
{
	struct map_entry *e;

	forget_mappings(fs);
	map_foreach (&fs->by_inode, e) {
		struct file *f = e->value;

		if (!f->on) {
			map_del(&fs->by_inode, e->key, e->key_len);
			file_free(f);
		}
	}
}

struct file *files_add(struct files *fs, const struct stat *st, const char *name)
{
	struct inode_key key = {st->st_dev, st->st_ino};

	if (fs->by_inode.n >= FILES_MAX)
		forget_unprobed(fs);
	if (fs->by_inode.n >= FILES_MAX)
		return NULL;
	struct file *f = xcalloc(1, sizeof(*f));
	*f = (struct file){.dev = key.dev,
	                   .ino = key.ino,
	                   .mtime = mtime_ns(st),
	                   .size = (uint64_t)st->st_size,
	                   .name = xstrdup(name)};
	map_put(&fs->by_inode, &key, sizeof(key), f);
	return f;
}

void files_forget(struct files *fs, struct file *f)
{
	struct inode_key key = {f->dev, f->ino};

	forget_mappings_of(fs, f);
	map_del(&fs->by_inode, &key, sizeof(key));
	file_free(f);
}

bool files_want(struct files *fs, const struct mapping_key *key, uint64_t generation)
{
	const struct mapping *m = map_get(&fs->by_mapping, key, sizeof(*key));

	if (!m || (generation != GENERATION_UNKNOWN && generation != m->generation))
		return true;
	if (!m->file)
		return m->tries < OPEN_TRIES;
	return m->file->target && !m->file->on && !m->file->err; /* its probes were taken off */
}

void files_map(struct files *fs, const struct mapping_key *key, uint64_t generation, struct file *f)
{
	struct mapping *m = map_get(&fs->by_mapping, key, sizeof(*key));

	if (!m) {
		if (fs->by_mapping.n >= MAPPINGS_MAX)
			forget_mappings(fs);
		m = xcalloc(1, sizeof(*m));
		m->generation = generation;
		map_put(&fs->by_mapping, key, sizeof(*key), m);
	}
	if (generation != GENERATION_UNKNOWN && generation != m->generation) {
		m->generation = generation;
		m->tries = 0;
	}
	m->file = f;
	m->tries += !f;
}

struct file *files_mapped(const struct files *fs, const struct mapping_key *key)
{
	const struct mapping *m = map_get(&fs->by_mapping, key, sizeof(*key));

	return m ? m->file : NULL;
}

void files_release(struct files *fs)
{
	struct uprobe_links all = {0};
	struct map_entry *e;

	map_foreach (&fs->by_inode, e) {
		struct file *f = e->value;

		xgrow(&all.fds, &all.cap, all.n + f->links.n, sizeof(*all.fds));
		for (size_t i = 0; i < f->links.n; i++)
			all.fds[all.n++] = f->links.fds[i];
	}
	uprobe_detach(&all);
	map_foreach (&fs->by_inode, e)
		file_free(e->value);
	map_release(&fs->by_inode);
	forget_mappings(fs);
}
