/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Constants of the processor outside VMX: control registers, RFLAGS, exception vectors, CPUID bits.
 * Source: SDM 3A, 2.3 to 2.6 and 6.3; SDM 2A, CPUID. All control register bits are 64-bit
 * constants: CR4 has bits above 31 (FRED), and a 32-bit mask would lose them silently.
 */
#ifndef LIB_X86_CPU_H
#define LIB_X86_CPU_H

#include <stdint.h>

#define CR0_PE (1ULL << 0)
#define CR0_MP (1ULL << 1)
#define CR0_EM (1ULL << 2)
#define CR0_TS (1ULL << 3)
#define CR0_ET (1ULL << 4)
#define CR0_NE (1ULL << 5)
#define CR0_WP (1ULL << 16)
#define CR0_AM (1ULL << 18)
#define CR0_NW (1ULL << 29)
#define CR0_CD (1ULL << 30)
#define CR0_PG (1ULL << 31)

#define CR3_LAM (3ULL << 61) /* LAM_U48 and LAM_U57 */

#define CR4_VME	       (1ULL << 0)
#define CR4_PVI	       (1ULL << 1)
#define CR4_TSD	       (1ULL << 2)
#define CR4_DE	       (1ULL << 3)
#define CR4_PSE	       (1ULL << 4)
#define CR4_PAE	       (1ULL << 5)
#define CR4_MCE	       (1ULL << 6)
#define CR4_PGE	       (1ULL << 7)
#define CR4_PCE	       (1ULL << 8)
#define CR4_OSFXSR     (1ULL << 9)
#define CR4_OSXMMEXCPT (1ULL << 10)
#define CR4_UMIP       (1ULL << 11)
#define CR4_LA57       (1ULL << 12)
#define CR4_VMXE       (1ULL << 13)
#define CR4_SMXE       (1ULL << 14)
#define CR4_FSGSBASE   (1ULL << 16)
#define CR4_PCIDE      (1ULL << 17)
#define CR4_OSXSAVE    (1ULL << 18)
#define CR4_KL	       (1ULL << 19)
#define CR4_SMEP       (1ULL << 20)
#define CR4_SMAP       (1ULL << 21)
#define CR4_PKE	       (1ULL << 22)
#define CR4_CET	       (1ULL << 23)
#define CR4_PKS	       (1ULL << 24)
#define CR4_UINTR      (1ULL << 25)
#define CR4_LASS       (1ULL << 27)
#define CR4_LAM_SUP    (1ULL << 28)
#define CR4_FRED       (1ULL << 32)

#define EFER_SCE (1ULL << 0)
#define EFER_LME (1ULL << 8)
#define EFER_LMA (1ULL << 10)
#define EFER_NXE (1ULL << 11)

#define RFLAGS_RESERVED (1ULL << 1) /* always 1 */
#define RFLAGS_TF	(1ULL << 8)
#define RFLAGS_IF	(1ULL << 9)
#define RFLAGS_IOPL	(3ULL << 12)
#define RFLAGS_RF	(1ULL << 16)
#define RFLAGS_VM	(1ULL << 17)
#define RFLAGS_AC	(1ULL << 18)
#define RFLAGS_ALWAYS_0 0xffffffffffc08028ULL

#define DR6_RESET 0xffff0ff0ULL
#define DR7_RESET 0x400ULL
#define DR7_GD	  (1ULL << 13)

#define DEBUGCTL_LBR	  (1ULL << 0)
#define DEBUGCTL_BTF	  (1ULL << 1)
#define DEBUGCTL_BUS_LOCK (1ULL << 2)
#define DEBUGCTL_RTM	  (1ULL << 15)
#define DEBUGCTL_RESERVED 0xffffffffffff0038ULL

enum vector {
	VECTOR_DE = 0,
	VECTOR_DB = 1,
	VECTOR_NMI = 2,
	VECTOR_BP = 3,
	VECTOR_OF = 4,
	VECTOR_BR = 5,
	VECTOR_UD = 6,
	VECTOR_NM = 7,
	VECTOR_DF = 8,
	VECTOR_TS = 10,
	VECTOR_NP = 11,
	VECTOR_SS = 12,
	VECTOR_GP = 13,
	VECTOR_PF = 14,
	VECTOR_MF = 16,
	VECTOR_AC = 17,
	VECTOR_MC = 18,
	VECTOR_XM = 19,
	VECTOR_VE = 20,
	VECTOR_CP = 21,
};
#define EXCEPTION_VECTORS 32U /* the others are for interrupts */

/* CPUID leaf 1; EBX[31:24]: the 8 lowest bits of the local APIC's ID */
#define CPUID_1_ECX_MONITOR    (1U << 3)
#define CPUID_1_ECX_VMX	       (1U << 5)
#define CPUID_1_ECX_SMX	       (1U << 6)
#define CPUID_1_ECX_XSAVE      (1U << 26)
#define CPUID_1_ECX_OSXSAVE    (1U << 27)
#define CPUID_1_ECX_HYPERVISOR (1U << 31)
#define CPUID_1_EDX_MTRR       (1U << 12)
/* CPUID leaf 7, subleaf 0 */
#define CPUID_7_EBX_SGX	     (1U << 2)
#define CPUID_7_EBX_INVPCID  (1U << 10)
#define CPUID_7_EBX_RTM	     (1U << 11)
#define CPUID_7_ECX_OSPKE    (1U << 4)
#define CPUID_7_ECX_WAITPKG  (1U << 5)
#define CPUID_7_ECX_RDPID    (1U << 22)
#define CPUID_7_ECX_BUS_LOCK (1U << 24)
/* CPUID leaf 7, subleaf 1 */
#define CPUID_7_1_EAX_FRED	      (1U << 17)
#define CPUID_7_1_EAX_LKGS	      (1U << 18)
#define CPUID_7_1_EAX_WRMSRNS	      (1U << 19)
#define CPUID_7_1_EAX_LAM	      (1U << 26)
#define CPUID_7_ECX_SHSTK	      (1U << 7)
#define CPUID_7_EDX_ARCH_CAPABILITIES (1U << 29)
#define CPUID_7_EDX_IBT		      (1U << 20)
#define CPUID_D_1_EAX_XFD	      (1U << 4)
/* CPUID leaf 0xb: EBX is 0 when there is none, EDX the APIC's ID */
#define CPUID_TOPOLOGY 0xbU
/* CPUID leaf 0xd, subleaf 1 */
#define CPUID_D_1_EAX_XSAVES (1U << 3)
/* The first of the extended leaves. As leaf 0 does, its EAX tells the highest. */
#define CPUID_EXTENDED 0x80000000U
/* CPUID leaf 0x80000001 */
#define CPUID_80000001_EDX_RDTSCP (1U << 27)
#define CPUID_80000001_EDX_NX	  (1U << 20)
#define CPUID_80000001_EDX_1G	  (1U << 26)
#define CPUID_80000001_EDX_LM	  (1U << 29)

/* XCR0 */
#define XCR0_X87    (1ULL << 0)
#define XCR0_SSE    (1ULL << 1)
#define XCR0_AVX    (1ULL << 2)
#define XCR0_AVX512 (7ULL << 5)
#define XCR0_PKRU   (1ULL << 9)
#define XCR0_AMX    (3ULL << 17)

/* IA32_XSS: CET's user and supervisor state */
#define XSS_CET (3ULL << 11)

/* CPUID leaf 0DH (SDM 1, 13.2): sub-leaves are components, and the legacy region needs none. */
#define XSAVE_COMPONENT_FIRST 2U
#define XSAVE_COMPONENT_LAST  62U
#define XSAVE_SIZE_MIN	      576U

#endif
