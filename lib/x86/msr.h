/* SPDX-License-Identifier: BSD-2-Clause */
/* MSR addresses and their bits. Source: SDM 4. */
#ifndef LIB_X86_MSR_H
#define LIB_X86_MSR_H

#define MSR_IA32_TSC		      0x10U
#define MSR_IA32_PLATFORM_ID	      0x17U
#define MSR_IA32_APIC_BASE	      0x1bU
#define MSR_IA32_FEATURE_CONTROL      0x3aU
#define MSR_IA32_TSC_ADJUST	      0x3bU
#define MSR_IA32_SPEC_CTRL	      0x48U
#define MSR_IA32_PRED_CMD	      0x49U
#define MSR_IA32_BIOS_UPDT_TRIG	      0x79U
#define MSR_IA32_BIOS_SIGN_ID	      0x8bU
#define MSR_IA32_SMM_MONITOR_CTL      0x9bU
#define MSR_PLATFORM_INFO	      0xceU
#define PLATFORM_INFO_RATIOS	      0x0000ff000000ff00ULL /* largest and smallest of the TSC's clock */
#define MSR_IA32_UMWAIT_CONTROL	      0xe1U
#define MSR_IA32_MPERF		      0xe7U
#define MSR_IA32_APERF		      0xe8U
#define MSR_IA32_MTRRCAP	      0xfeU
#define MSR_IA32_XAPIC_DISABLE_STATUS 0x0bdU
#define MSR_IA32_ARCH_CAPABILITIES    0x10aU
#define MSR_IA32_FLUSH_CMD	      0x10bU
#define MSR_IA32_SYSENTER_CS	      0x174U
#define MSR_IA32_SYSENTER_ESP	      0x175U
#define MSR_IA32_SYSENTER_EIP	      0x176U
#define MSR_IA32_MCG_CAP	      0x179U
#define MSR_IA32_MCG_STATUS	      0x17aU
#define MSR_IA32_MCG_CTL	      0x17bU
#define MSR_IA32_MISC_ENABLE	      0x1a0U
/* SDM 4, table 2-2: thermal control, performance monitoring, SpeedStep, MONITOR. */
#define MISC_ENABLE_HIDDEN		 ((1ULL << 3) | (1ULL << 7) | (1ULL << 16) | (1ULL << 18))
#define MISC_ENABLE_UNAVAILABLE		 ((1ULL << 11) | (1ULL << 12)) /* BTS, PEBS */
#define MSR_IA32_XFD			 0x1c4U
#define MSR_IA32_XFD_ERR		 0x1c5U
#define MSR_IA32_FRED_RSP0		 0x1ccU
#define MSR_IA32_FRED_RSP1		 0x1cdU
#define MSR_IA32_FRED_RSP2		 0x1ceU
#define MSR_IA32_FRED_RSP3		 0x1cfU
#define MSR_IA32_FRED_STKLVLS		 0x1d0U
#define MSR_IA32_FRED_SSP1		 0x1d1U
#define MSR_IA32_FRED_SSP2		 0x1d2U
#define MSR_IA32_FRED_SSP3		 0x1d3U
#define MSR_IA32_FRED_CONFIG		 0x1d4U
#define MSR_IA32_DEBUGCTL		 0x1d9U
#define MSR_IA32_MTRR_PHYSBASE0		 0x200U
#define MSR_IA32_MTRR_PHYS_LAST		 0x21fU
#define MSR_IA32_MTRR_FIX64K_00000	 0x250U
#define MSR_IA32_MTRR_FIX16K_80000	 0x258U
#define MSR_IA32_MTRR_FIX16K_A0000	 0x259U
#define MSR_IA32_MTRR_FIX4K_C0000	 0x268U
#define MSR_IA32_MTRR_FIX4K_F8000	 0x26fU
#define MSR_IA32_PAT			 0x277U
#define MSR_IA32_MTRR_DEF_TYPE		 0x2ffU
#define MSR_IA32_MC0_CTL		 0x400U
#define MSR_IA32_MC_LAST		 0x47fU
#define MSR_IA32_MC0_CTL2		 0x280U
#define MSR_IA32_MC_LAST_CTL2		 0x29fU
#define MSR_IA32_VMX_BASIC		 0x480U
#define MSR_IA32_VMX_PINBASED_CTLS	 0x481U
#define MSR_IA32_VMX_PROCBASED_CTLS	 0x482U
#define MSR_IA32_VMX_EXIT_CTLS		 0x483U
#define MSR_IA32_VMX_ENTRY_CTLS		 0x484U
#define MSR_IA32_VMX_MISC		 0x485U
#define MSR_IA32_VMX_CR0_FIXED0		 0x486U
#define MSR_IA32_VMX_CR0_FIXED1		 0x487U
#define MSR_IA32_VMX_CR4_FIXED0		 0x488U
#define MSR_IA32_VMX_CR4_FIXED1		 0x489U
#define MSR_IA32_VMX_PROCBASED_CTLS2	 0x48bU
#define MSR_IA32_VMX_EPT_VPID_CAP	 0x48cU
#define MSR_IA32_VMX_TRUE_PINBASED_CTLS	 0x48dU
#define MSR_IA32_VMX_TRUE_PROCBASED_CTLS 0x48eU
#define MSR_IA32_VMX_TRUE_EXIT_CTLS	 0x48fU
#define MSR_IA32_VMX_TRUE_ENTRY_CTLS	 0x490U
#define MSR_IA32_VMX_VMFUNC		 0x491U
#define MSR_IA32_VMX_PROCBASED_CTLS3	 0x492U
#define MSR_IA32_VMX_EXIT_CTLS2		 0x493U
#define MSR_IA32_U_CET			 0x6a0U
#define MSR_IA32_S_CET			 0x6a2U
#define MSR_IA32_PL0_SSP		 0x6a4U
#define MSR_IA32_PL1_SSP		 0x6a5U
#define MSR_IA32_PL3_SSP		 0x6a7U
#define MSR_IA32_ISST			 0x6a8U
#define MSR_IA32_TSC_DEADLINE		 0x6e0U
#define MSR_IA32_X2APIC_FIRST		 0x800U
#define MSR_IA32_X2APIC_ICR		 0x830U
#define MSR_IA32_X2APIC_SELF_IPI	 0x83fU
#define MSR_IA32_X2APIC_LAST		 0x8ffU
#define MSR_IA32_XSS			 0xda0U
#define MSR_IA32_EFER			 0xc0000080U
#define MSR_IA32_STAR			 0xc0000081U
#define MSR_IA32_LSTAR			 0xc0000082U
#define MSR_IA32_CSTAR			 0xc0000083U
#define MSR_IA32_FMASK			 0xc0000084U
#define MSR_IA32_FS_BASE		 0xc0000100U
#define MSR_IA32_GS_BASE		 0xc0000101U
#define MSR_IA32_KERNEL_GS_BASE		 0xc0000102U
#define MSR_IA32_TSC_AUX		 0xc0000103U

#define APIC_BASE_ADDRESS_MASK 0x000ffffffffff000ULL
#define APIC_BASE_ENABLE       (1ULL << 11)
#define APIC_BASE_X2APIC       (1ULL << 10)

#define MTRR_DEF_TYPE_ENABLE (1ULL << 11)

#define ARCH_CAPABILITIES_RDCL_NO      (1ULL << 0)  /* not vulnerable to Meltdown */
#define ARCH_CAPABILITIES_XAPIC_STATUS (1ULL << 21) /* has IA32_XAPIC_DISABLE_STATUS */
#define XAPIC_DISABLED		       (1ULL << 0)  /* in that: an x2APIC stays one */
/*
 * All bits that say of the processor what it is vulnerable to and what flushes its buffers: 0 to 6,
 * TAA_NO, the three of stale data (SBDR_SSDP, FBSDP, PSDP), FB_CLEAR, RRSBA, BHI_NO, PBRSB_NO,
 * GDS_NO, RFDS_NO, RFDS_CLEAR, ITS_NO. Most of the others tell of further MSRs.
 */
#define ARCH_CAPABILITIES_VULNERABILITIES                                                       \
	(0x7fULL | 1ULL << 8 | 7ULL << 13 | 1ULL << 17 | 3ULL << 19 | 1ULL << 24 | 7ULL << 26 | \
	 1ULL << 62)

#define FEATURE_CONTROL_LOCKED	    (1ULL << 0)
#define FEATURE_CONTROL_VMX_OUTSIDE (1ULL << 2)

#endif
