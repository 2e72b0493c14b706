/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stands in for vmm/host/x86.h in the unit tests of the VMM: the same instructions, on the model's
 * registers.
 */
#ifndef MODEL_VMM_HOST_X86_H
#define MODEL_VMM_HOST_X86_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/unit/model/model.h"

struct cpuid_leaf {
	uint32_t eax, ebx, ecx, edx;
};

/* The test says what the processor answers. */
struct cpuid_leaf cpuid(uint32_t leaf, uint32_t subleaf);

static inline uint64_t rdmsr(uint32_t msr)
{
	return model_rdmsr(msr);
}

static inline bool rdmsr_safe(uint32_t msr, uint64_t *value)
{
	if (msr == model.msr_missing)
		return false;
	*value = model_rdmsr(msr);
	return true;
}

static inline bool wrmsr_safe(uint32_t msr, uint64_t value)
{
	if (model.refuses)
		model.msr_written = msr;
	else
		model_wrmsr(msr, value);
	return !model.refuses;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	model_wrmsr(msr, value);
}

static inline bool xsetbv_safe(uint32_t xcr, uint64_t value)
{
	if (model.refuses || xcr != 0)
		return false;
	model.xcr0 = value;
	return true;
}

/* The model has one VMCS. */
static inline bool vmptrld(const uint64_t *vmcs __attribute__((unused)))
{
	return true;
}

static inline uint64_t vmptrst(void)
{
	return 0x5000;
}

static inline bool invvpid(uint64_t type __attribute__((unused)),
			   uint64_t vpid __attribute__((unused)),
			   uint64_t linear_address __attribute__((unused)))
{
	model.invvpids++;
	return true;
}

static inline bool invept(uint64_t type __attribute__((unused)),
			  uint64_t ept_pointer __attribute__((unused)))
{
	__atomic_add_fetch(&model.invepts, 1, __ATOMIC_SEQ_CST);
	if (model.on_invept)
		model.on_invept();
	return true;
}

static inline void clflush(const void *address)
{
	if (model.on_clflush)
		model.on_clflush((const void *)((uintptr_t)address & ~(uintptr_t)63));
}

/* Other processors are threads, unless the test says what happens meanwhile. */
static inline void pause(void)
{
	if (model.on_pause)
		model.on_pause();
	else
		sched_yield();
}

static inline uint32_t read_pkru(void)
{
	return model.pkru;
}

static inline uint64_t rdtsc(void)
{
	return model.tsc;
}

/* A test says which. */
void take_interrupts(void);

static inline uint64_t xgetbv(uint32_t xcr __attribute__((unused)))
{
	return model.xcr0;
}

static inline void xsave(void *area)
{
	model_xsave(area);
}

static inline bool xrstor_safe(const void *area)
{
	return model_xrstor(area);
}

#define DEFINE_PORT_ACCESS(suffix, type)                          \
	static inline type in##suffix(uint16_t port)              \
	{                                                         \
		return (type)model.on_in(port, sizeof(type));     \
	}                                                         \
	static inline void out##suffix(uint16_t port, type value) \
	{                                                         \
		model.on_out(port, sizeof(type), value);          \
	}

DEFINE_PORT_ACCESS(b, uint8_t)
DEFINE_PORT_ACCESS(w, uint16_t)
DEFINE_PORT_ACCESS(l, uint32_t)

#undef DEFINE_PORT_ACCESS

#define DEFINE_REGISTER_ACCESS(reg, where)             \
	static inline uint64_t read_##reg(void)        \
	{                                              \
		return model.where;                    \
	}                                              \
	static inline void write_##reg(uint64_t value) \
	{                                              \
		model.where = value;                   \
	}

DEFINE_REGISTER_ACCESS(cr2, cr2)
DEFINE_REGISTER_ACCESS(cr3, cr3)
DEFINE_REGISTER_ACCESS(cr4, cr4)
DEFINE_REGISTER_ACCESS(cr8, cr8)
DEFINE_REGISTER_ACCESS(dr0, dr[0])
DEFINE_REGISTER_ACCESS(dr1, dr[1])
DEFINE_REGISTER_ACCESS(dr2, dr[2])
DEFINE_REGISTER_ACCESS(dr3, dr[3])
DEFINE_REGISTER_ACCESS(dr6, dr6)

#undef DEFINE_REGISTER_ACCESS

#endif
