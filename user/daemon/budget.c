/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/budget.h"
#include "probe/procfs.h"

/* What the process used since it was looked at last: all of it when it is new. */
static uint64_t used_since(struct budget *b, pid_t pid, uint64_t cpu_ns)
{
	struct budget_process *free_place = NULL;

	for (size_t i = 0; i < BUDGET_PROCESSES; i++) {
		struct budget_process *p = &b->seen[i];

		if (p->pid == pid && p->cpu_ns <= cpu_ns) {
			uint64_t since = cpu_ns - p->cpu_ns;

			p->cpu_ns = cpu_ns;
			return since;
		}
		if (!free_place && (!p->pid || p->pid == pid))
			free_place = p;
	}
	if (free_place)
		*free_place = (struct budget_process){pid, cpu_ns};
	return cpu_ns;
}

static void forget_gone(struct budget *b, const pid_t *pids, size_t n)
{
	for (size_t i = 0; i < BUDGET_PROCESSES; i++) {
		bool runs = false;

		for (size_t k = 0; k < n; k++)
			runs |= pids[k] == b->seen[i].pid;
		if (!runs)
			b->seen[i].pid = 0;
	}
}

bool budget_look(struct budget *b, uint64_t now, const pid_t *pids, size_t n)
{
	uint64_t cpu = 0, anon = 0, shared = 0, since = now - b->looked;
	bool first = !b->looked;

	if (!(b->cpu > 0) && !b->memory) {
		bool eased = b->step > 0; /* the limits are gone: SIGHUP */

		b->step = 0;
		return eased;
	}
	forget_gone(b, pids, n);
	for (size_t i = 0; i < n; i++) {
		struct procfs_usage u;

		if (pids[i] <= 0 || procfs_usage(pids[i], &u))
			continue;
		cpu += used_since(b, pids[i], u.cpu);
		anon += u.anon;
		shared = u.shared > shared ? u.shared : shared; /* the same journal in each */
	}
	b->looked = now;
	/* The first look has seen how they started, over a time that is not known. */
	return budget_judge(b, now, first || !since ? -1 : (double)cpu / (double)since, anon + shared);
}

static void set_step(struct budget *b, unsigned step)
{
	b->step = step;
	b->over_since = b->under_since = 0;
}

bool budget_judge(struct budget *b, uint64_t now, double cpu, uint64_t memory)
{
	bool over = (b->cpu > 0 && cpu > b->cpu) || (b->memory && memory > b->memory);
	bool under = (!(b->cpu > 0) || (cpu >= 0 && cpu < b->cpu * BUDGET_DOWN)) &&
	             (!b->memory || (double)memory < (double)b->memory * BUDGET_DOWN);

	b->cpu_used = cpu;
	b->memory_used = memory;
	b->over_since = !over ? 0 : b->over_since ? b->over_since : now;
	b->under_since = !under ? 0 : b->under_since ? b->under_since : now;
	if (over && b->step < PRESSURE_STEPS && now - b->over_since >= BUDGET_UP_NS) {
		set_step(b, b->step + 1);
		return true;
	}
	if (under && b->step && now - b->under_since >= BUDGET_DOWN_NS) {
		set_step(b, b->step - 1);
		return true;
	}
	return false;
}
