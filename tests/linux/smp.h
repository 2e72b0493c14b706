/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the checks of several processors share: how many there are, threads that stay on one of
 * them, and how many interrupts of a kind one of them has had.
 */
#ifndef TESTS_LINUX_SMP_H
#define TESTS_LINUX_SMP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define PROCESSORS_MAX 64U

/* Processors that the machine has to have, numbered from 0: as the command line says. */
extern unsigned int processors;

/* From now on this thread runs on that processor only. */
bool pin(unsigned int processor);

/* A thread's part of a check: runs on its processor until its work is done or smp_stop is set. */
struct worker {
	pthread_t thread;
	unsigned int processor;
	bool (*run)(unsigned int processor);
	bool running;
};

/* Ends the workers' loops; a worker that has failed sets it for all. */
extern atomic_bool smp_stop;

/* Starts `run` on every processor but `except`; false with the reason when one does not start. */
bool start_others(struct worker *workers, unsigned int except, bool (*run)(unsigned int processor));

/* Starts `run` on that processor. */
bool start_worker(struct worker *worker, unsigned int processor,
		  bool (*run)(unsigned int processor));

/* Waits for those of the `count` workers that run; false when one of them has failed. */
bool join_workers(struct worker *workers, unsigned int count);

/* How often /proc/interrupts says that processor has had interrupts of the kind "TLB:". */
long interrupts_on(unsigned int processor, const char *kind);

#endif
