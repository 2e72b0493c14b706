// SPDX-License-Identifier: BSD-2-Clause
/* Owns the GDT and TSS of each processor, and the control registers of the host. */
#include "vmm/host/cpu.h"

#include "lib/layout.h"
#include "lib/paging.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "vmm/base/memory.h"
#include "vmm/host/host_fred.h"
#include "vmm/host/trap.h"
#include "vmm/host/x86.h"

#define IST_STACK_PAGES 2
#define CACHE_LINE	64U
#define CPU_MEMORY	(PAGE_SIZE * (1 + (IST_COUNT - 1) * (IST_STACK_PAGES + 1)))
/* With the VMXON region. */
_Static_assert(CPU_MEMORY + PAGE_SIZE <= VMM_SIZE_PROCESSOR, "the loader counts on less");

#define GDT_TSS_TYPE 0x89ULL /* present, available 64-bit TSS */

struct descriptor_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static void load_gdt(struct cpu *cpu)
{
	const uint64_t tss = (uint64_t)&cpu->tss;
	const struct descriptor_pointer gdtr = { sizeof(cpu->gdt) - 1, (uint64_t)cpu->gdt };

	cpu->gdt[SELECTOR_CODE / 8] = GDT_CODE64;
	cpu->gdt[SELECTOR_DATA / 8] = GDT_DATA;
	cpu->gdt[SELECTOR_TSS / 8] = (sizeof(cpu->tss) - 1) | (tss & 0xffffff) << 16 |
				     GDT_TSS_TYPE << 40 | (tss >> 24 & 0xff) << 56;
	cpu->gdt[SELECTOR_TSS / 8 + 1] = tss >> 32;
	cpu->tss.io_bitmap = sizeof(cpu->tss);

	asm volatile("lgdt %0\n"
		     "pushq %1\n"
		     "lea 1f(%%rip), %%rax\n"
		     "pushq %%rax\n"
		     "lretq\n"
		     "1: mov %2, %%ds\n"
		     "mov %2, %%es\n"
		     "mov %2, %%ss\n"
		     "mov %3, %%fs\n"
		     "mov %3, %%gs\n"
		     "ltr %4\n"
		     :
		     : "m"(gdtr), "i"(SELECTOR_CODE), "r"(SELECTOR_DATA), "r"(0),
		       "r"((uint16_t)SELECTOR_TSS)
		     : "rax", "memory");
}

static void set_control_registers(void)
{
	uint64_t cr4 = CR4_PAE | CR4_MCE;

	/* XSETBV on behalf of a guest needs OSXSAVE; the VMM itself never touches vector registers.
	 */
	if (cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE)
		cr4 |= CR4_OSXSAVE;
	write_cr4(cr4);
	write_cr0(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG);
	wrmsr(MSR_IA32_EFER, EFER_LME | EFER_LMA | EFER_NXE);
	/* No page of the VMM's is mapped by the entry that changes: nothing has to be flushed. */
	wrmsr(MSR_IA32_PAT, PAT_VMM);
}

struct cpu *cpu_init(uint32_t id)
{
	struct cpu *const cpu = page_alloc();

	_Static_assert(sizeof(*cpu) <= PAGE_SIZE, "struct cpu is one page");
	cpu->self = cpu;
	cpu->id = id;
	for (int i = IST_NMI; i < IST_COUNT; i++)
		cpu->tss.ist[i - 1] = (uint64_t)stack_alloc(IST_STACK_PAGES, 0);
	load_gdt(cpu);
	wrmsr(MSR_IA32_GS_BASE, (uint64_t)cpu);
	set_control_registers();
	trap_init();
	fred_host_enable((const uint64_t[3]){ cpu->tss.ist[IST_FAULT - 1],
					      cpu->tss.ist[IST_NMI - 1],
					      cpu->tss.ist[IST_DOUBLE_FAULT - 1] });
	return cpu;
}

void cpu_stop(void)
{
	asm volatile("cli");
	for (;;)
		hlt();
}

size_t cpu_memory_size(void)
{
	return CPU_MEMORY;
}

/* A reset would lose what only the caches have. */
void cpu_write_back(const void *start, size_t size)
{
	const uintptr_t end = (uintptr_t)start + size;

	for (uintptr_t line = (uintptr_t)start & ~(uintptr_t)(CACHE_LINE - 1); line < end;
	     line += CACHE_LINE)
		clflush((const void *)line);
}
