# SPDX-License-Identifier: BSD-2-Clause
# Builds everything below build/. `make help` lists the targets.

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
# Objects on the way to a program stay.
.SECONDARY:
.DEFAULT_GOAL := all

ifeq ($(origin CC),default)
CC := gcc
endif
NASM ?= nasm
LD ?= ld
OBJCOPY ?= objcopy
OBJDUMP ?= objdump
# Debian's own, since the modules that we need are Debian's packages.
PYTHON ?= /usr/bin/python3
# Where sgdisk is: Debian's PATH of an ordinary user lacks these.
export PATH := $(PATH):/usr/sbin:/sbin
# `make V=1` shows whole commands.
Q := $(if $(V),,@)
say = $(if $(V),,@echo '  $(1) $@')

WARNINGS := -Wall -Wextra -Werror -Wconversion -Wshadow -Wmissing-prototypes -Wstrict-prototypes \
	-Wvla
COMMON_CFLAGS := -std=gnu11 -g -I. $(WARNINGS) -fno-strict-aliasing -MMD -MP \
	-ffile-prefix-map="$(CURDIR)"=.
FREESTANDING := -O2 -ffreestanding -mno-red-zone -fno-stack-protector -fcf-protection=none \
	-fno-asynchronous-unwind-tables -fno-omit-frame-pointer
# gcc makes calls of memset out of the loop that is memset; clang wants to parse offsets.s.
ifeq ($(findstring clang,$(CC)),)
FREESTANDING += -fno-tree-loop-distribute-patterns
STACK_8 := -mpreferred-stack-boundary=3
else
STACK_8 := -mstack-alignment=8
OFFSETS_CFLAGS := -fno-integrated-as
endif

VMM_CFLAGS = $(COMMON_CFLAGS) $(FREESTANDING) -fno-pic -mcmodel=kernel -mgeneral-regs-only
GUEST_CFLAGS = $(COMMON_CFLAGS) $(FREESTANDING) -fno-pic -mcmodel=$(GUEST_MODEL) -mgeneral-regs-only
GUEST_MODEL := small
EFI_CFLAGS = $(COMMON_CFLAGS) $(FREESTANDING) -fpic -fshort-wchar -fvisibility=hidden \
	$(EFI_HEADERS)
EFI_HEADERS := -DGNU_EFI_USE_MS_ABI -isystem /usr/include/efi -isystem /usr/include/efi/x86_64
UNIT_CFLAGS = $(COMMON_CFLAGS) -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=all
# The VMM's sources over the model of a processor: its headers stand before the real ones.
MODEL_CFLAGS = -Itests/unit/model $(UNIT_CFLAGS)
# Not -w+all: newer versions warn of relocations, which is what an object file is made of.
NASMFLAGS := -f elf64 -g -Werror -Ibuild/gen/ -I./

VMM_SOURCES := $(filter-out vmm/offsets.c,$(wildcard vmm/*.c vmm/*/*.c vmm/*.asm vmm/*/*.asm))
GUEST_SOURCES := $(wildcard guest/*/*.c guest/*/*.asm guest/*/*/*.c guest/*/*/*.asm)
BOOT_SOURCES := $(wildcard boot/*.c boot/*.asm)
LIB_SOURCES := $(wildcard lib/*.c)
# tests/unit/ is sorted as the sources are: tests/unit/lib/, tests/unit/boot/ and, by the rooms of vmm/, tests/unit/vmm/.
LIB_TESTS := $(patsubst tests/unit/%.c,build/unit/%,$(wildcard tests/unit/lib/test_*.c))
VMM_TESTS := $(patsubst tests/unit/%.c,build/unit/%,$(wildcard tests/unit/vmm/*/test_*.c))
BOOT_TESTS := $(patsubst tests/unit/%.c,build/unit/%,$(wildcard tests/unit/boot/test_*.c))
UNIT_TESTS := $(LIB_TESTS) $(VMM_TESTS) $(BOOT_TESTS)

# What the build makes or fetches: the screen's font, and the QR codes on it.
SCREEN_SOURCES := build/gen/font.c build/gen/qrcodegen.c
VMM_OBJECTS := $(VMM_SOURCES:%=build/vmm/%.o) $(SCREEN_SOURCES:%=build/vmm/%.o)
GUEST_OBJECTS := $(GUEST_SOURCES:%=build/guest/%.o)
# Two programs of one folder: the loader of the VMM, and the suite without the VMM.
LOADER_ONLY := boot/main.c boot/menu.c boot/place.c boot/enter.asm boot/blob_vmm.asm
FREDCHECK_ONLY := boot/fredcheck.c boot/fredcheck_enter.asm
LOADER_OBJECTS := $(patsubst %,build/efi/%.o,$(filter-out $(FREDCHECK_ONLY),$(BOOT_SOURCES)))
FREDCHECK_OBJECTS := $(patsubst %,build/efi/%.o,$(filter-out $(LOADER_ONLY),$(BOOT_SOURCES))) \
	$(SCREEN_SOURCES:%=build/efi/%.o)

.PHONY: all
all: build/manfred.efi build/fredcheck.efi build/vmm.lst

-include $(shell find build/vmm build/guest build/efi build/unit build/model build/host build/gen build/linux -name '*.d' 2>/dev/null)

# ---- Tools of the host, and what the objects were built with ----

build/.setup-%: tools/setup.sh
	@tools/setup.sh $*
	@mkdir -p $(@D) && touch $@

# Another compiler or other flags: build everything again.
BUILT_WITH = $(CC) $(VMM_CFLAGS) $(GUEST_CFLAGS) $(EFI_CFLAGS) $(UNIT_CFLAGS) $(NASMFLAGS) $(QRCODEGEN_CFLAGS)
build/.flags: FORCE | build/.setup-build build/gen/build_name.h
	@echo '$(BUILT_WITH)' | cmp -s - $@ || echo '$(BUILT_WITH)' > $@
.PHONY: FORCE
FORCE:

# The commit, for banners and reports.
build/gen/build_name.h: FORCE
	@mkdir -p $(@D)
	@tools/build-name | cmp -s - $@ || tools/build-name > $@

# ---- Objects: build/<program>/<source>.o ----

define object_rules
build/$(1)/%.c.o: %.c build/.flags
	@mkdir -p $$(@D)
	$$(call say,CC )
	$$(Q)$$(CC) $$($(2)) -c $$< -o $$@

build/$(1)/%.asm.o: %.asm build/.flags
	@mkdir -p $$(@D)
	$$(call say,ASM)
	$$(Q)$$(NASM) $$(NASMFLAGS) -MD $$(@:.o=.d) -MP $$< -o $$@

# An archive: a program takes the members of lib/ that it uses.
build/$(1)/lib.a: $$(LIB_SOURCES:%=build/$(1)/%.o)
	@rm -f $$@
	$$(Q)$$(AR) rcsD $$@ $$^
endef
$(eval $(call object_rules,vmm,VMM_CFLAGS))
$(eval $(call object_rules,guest,GUEST_CFLAGS))
$(eval $(call object_rules,efi,EFI_CFLAGS))
$(eval $(call object_rules,unit,UNIT_CFLAGS))
$(eval $(call object_rules,model,MODEL_CFLAGS))

$(filter %.asm.o,$(VMM_OBJECTS)): build/gen/offsets.inc

# What guests pay for at every exit: no frame pointers there. A backtrace passes these functions over.
HOT_PATH := $(addprefix run/,sched startup create enter inject reset) \
	$(addprefix vcpu/,context timer vcpu rip cpuid_policy msr_policy control_registers event) \
	$(addprefix exits/,table msr control_registers hypercall test_services) fred/native vmx/ept \
	$(addprefix soft/,soft engine walk)
$(HOT_PATH:%=build/vmm/vmm/%.c.o): VMM_CFLAGS += -fomit-frame-pointer
# The VMM has no vector registers: its stack needs no more than a register's alignment, and keeping
# more costs two instructions in skip_instruction(), and in others.
$(patsubst %,build/vmm/vmm/%.c.o,exits/table vcpu/rip soft/soft soft/engine): VMM_CFLAGS += $(STACK_8)

# Constants that the VMM's assembly needs: the compiler prints them as "->NAME $value".
build/gen/offsets.inc: vmm/offsets.c build/.flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(VMM_CFLAGS) $(OFFSETS_CFLAGS) -MF build/gen/offsets.d -MT $@ -S $< -o build/gen/offsets.s
	@sed -n 's/^.*->\([A-Za-z0-9_]*\) *\$$\{0,1\}\(-\{0,1\}[0-9]*\).*/%define \1 \2/p' \
		build/gen/offsets.s > $@
	@test -s $@ || { echo "$<: no DEFINE line"; rm $@; exit 1; }

# The screen's font: Spleen (BSD-2-Clause, (c) Frederic Cambus) of package fonts-spleen.
FONTS := $(patsubst %,/usr/share/consolefonts/spleen-%.psfu.gz,8x16 12x24 16x32)
build/gen/font.c: tools/mkfont.py | build/.setup-build
	@mkdir -p $(@D)
	$(Q)$(PYTHON) tools/mkfont.py $(FONTS) > $@

# QR codes: qrcodegen (MIT, (c) Project Nayuki). Not our code, so not our warnings.
build/gen/qrcodegen.c: tools/qrcodegen.sh | build/.setup-build
	$(Q)tools/qrcodegen.sh $(@D)
build/gen/qrcodegen.h: build/gen/qrcodegen.c ;
# No C library: abs() and labs() are the compiler's own, also with one that would call functions.
QRCODEGEN_CFLAGS := -w -DNDEBUG -fbuiltin -Dabs=__builtin_abs -Dlabs=__builtin_labs
build/vmm/build/gen/qrcodegen.c.o: VMM_CFLAGS += $(QRCODEGEN_CFLAGS)
build/efi/build/gen/qrcodegen.c.o: EFI_CFLAGS += $(QRCODEGEN_CFLAGS)
build/unit/build/gen/qrcodegen.c.o: UNIT_CFLAGS += $(QRCODEGEN_CFLAGS)
$(patsubst %,build/%/lib/result_screen.c.o,vmm guest efi unit model): | build/gen/qrcodegen.h

# ---- The VMM, linked twice: the second time with its own symbol table ----

VMM_LINK = $(LD) -m elf_x86_64 -T linker.ld -static -nostdlib --no-pie --build-id=none \
	-z max-page-size=0x1000 -z noexecstack --fatal-warnings

build/vmm/symbols-empty.S: tools/mksymbols
	@mkdir -p $(@D)
	$(Q)tools/mksymbols > $@

build/vmm/symbols.S: build/vmm/first.elf tools/mksymbols
	$(Q)tools/mksymbols $< > $@

build/vmm/%.S.o: build/vmm/%.S
	$(Q)$(CC) -c $< -o $@

build/vmm/first.elf: linker.ld $(VMM_OBJECTS) build/vmm/symbols-empty.S.o build/vmm/lib.a
	$(call say,LD )
	$(Q)$(VMM_LINK) $(filter-out linker.ld,$^) -o $@

build/vmm.elf: linker.ld $(VMM_OBJECTS) build/vmm/symbols.S.o build/vmm/lib.a
	$(call say,LD )
	$(Q)$(VMM_LINK) -Map=build/vmm.map $(filter-out linker.ld,$^) -o $@
	@tools/mksymbols $@ | cmp -s - build/vmm/symbols.S || \
		{ echo "$@: the symbol table moved the code"; rm $@; exit 1; }

build/vmm.lst: build/vmm.elf
	$(Q)$(OBJDUMP) -d -l --no-show-raw-insn $< > $@

# ---- The built-in guest ----

build/selftest.elf: guest/guest.ld $(GUEST_OBJECTS) build/guest/lib.a
	$(call say,LD )
	$(Q)$(LD) -m elf_x86_64 -T guest/guest.ld -static -nostdlib --no-pie --build-id=none \
		-z max-page-size=0x1000 -z noexecstack --fatal-warnings \
		-Map=build/selftest.map $(filter-out guest/guest.ld,$^) -o $@

# ---- UEFI applications ----

build/gen/%.stripped: build/%.elf
	@mkdir -p $(@D)
	$(Q)$(OBJCOPY) --strip-all $< $@

build/efi/boot/blob_vmm.asm.o: build/gen/vmm.stripped
build/efi/boot/blob_selftest.asm.o: build/gen/selftest.stripped

# Debian 12 has these files in /usr/lib, later ones in a folder below it; their
# start-up code calls efi_main there, _entry here.
GNUEFI_FILE = $(firstword $(shell find /usr/lib -maxdepth 3 -name $(1) -not -path '*32*'))
define efi_link
	$(call say,EFI)
	$(Q)$(LD) -nostdlib -znocombreloc -z noexecstack -shared -Bsymbolic --no-undefined \
		--build-id=none --defsym=_entry=efi_main -T $(call GNUEFI_FILE,elf_x86_64_efi.lds) \
		$(call GNUEFI_FILE,crt0-efi-x86_64.o) $(filter %.o,$^) $(filter %.a,$^) \
		$(call GNUEFI_FILE,libgnuefi.a) -o $(@:.efi=.so)
	$(Q)SOURCE_DATE_EPOCH=0 $(OBJCOPY) -j .text -j .sdata -j .data -j .rodata -j .dynamic -j .dynsym \
		-j '.rel*' -j .reloc --target efi-app-x86_64 --subsystem=10 $(@:.efi=.so) $@
endef

build/manfred.efi: $(LOADER_OBJECTS) build/efi/lib.a
	$(efi_link)

build/fredcheck.efi: $(FREDCHECK_OBJECTS) build/efi/lib.a
	$(efi_link)

build/tools/chain.efi: $(patsubst %,build/efi/%.o,boot/la57.c boot/la57.asm tools/efi/no_execute.c)
build/tools/vtd.efi: build/efi/vmm/vmx/vtd.c.o build/efi/vmm/vmx/ept.c.o
build/tools/screen.efi: build/efi/build/gen/font.c.o

build/tools/%.efi: build/efi/tools/efi/%.c.o build/efi/lib.a
	@mkdir -p $(@D)
	$(efi_link)

# ---- The pinned emulator, firmware and kernel; the Linux guest's initramfs ----

PLATFORM := build/platform/versions
$(PLATFORM): tools/versions tools/platform.sh | build/.setup-run
	@tools/platform.sh

# The loader's parser of manfred.cfg, for the host: tools/run.py asks it before a boot.
HOST_CFLAGS = $(COMMON_CFLAGS) -O1
$(eval $(call object_rules,host,HOST_CFLAGS))
build/tools/check-config: $(patsubst %,build/host/%.o,tools/check_config.c \
		$(addprefix lib/,config.c format.c serial.c utf8.c))
	@mkdir -p $(@D)
	$(call say,LD )
	$(Q)$(CC) $^ -o $@

# A static program at addresses of 32 bits, for its 32-bit code.
LINUX_OBJECTS := $(patsubst %,build/linux/%.o,$(wildcard tests/linux/*.c) \
	$(filter-out %/compat32.asm,$(wildcard tests/linux/*.asm)))
LINUX_CFLAGS = $(COMMON_CFLAGS) -O2 -fno-pie
$(eval $(call object_rules,linux,LINUX_CFLAGS))

build/linux/checks: $(LINUX_OBJECTS)
	$(call say,LD )
	$(Q)$(CC) -static -no-pie -s $(LINUX_OBJECTS) -o $@

build/linux/compat32: tests/linux/compat32.asm build/.flags
	@mkdir -p $(@D)
	$(call say,ASM)
	$(Q)$(NASM) -f elf32 -Werror $< -o $@.o
	$(Q)$(LD) -m elf_i386 -s --build-id=none $@.o -o $@

build/linux/initrd.img: tests/linux/init build/linux/checks build/linux/compat32 \
		tools/mkinitrd.py $(PLATFORM)
	$(Q)$(PYTHON) tools/mkinitrd.py $@ tests/linux/init build/linux/checks build/linux/compat32

# ---- Boot it ----

.PHONY: image
image: build/manfred.efi build/fredcheck.efi
	@$(PYTHON) tools/image.py

build/linux.img: build/manfred.efi build/linux/initrd.img tools/boot.py tools/mkimage.py
	$(Q)cd tools && $(PYTHON) -c 'import boot; boot.linux_image("../$@")'

EMULATED := $(patsubst %,build/%.efi,manfred fredcheck tools/probe tools/chain tools/screen tools/vtd) \
	build/linux/initrd.img build/tools/check-config

# Only from make's command line: names like LOG and DEBUG mean other things in
# many an environment.
RUN_VARIABLES := CONFIG GUEST KERNEL INITRD CMDLINE MODULES MEMORY FRED LOG TESTS ERRATA DEBUG AT_END CPUS TIMEOUT \
	EMULATOR
NOT_TAKEN := $(strip $(foreach name,$(RUN_VARIABLES),$(if $(filter environment,$(origin $(name))),$(name))))
$(foreach name,$(NOT_TAKEN),$(eval unexport $(name)))
define say_not_taken
	@$(if $(NOT_TAKEN),echo 'run: of the environment not taken: $(NOT_TAKEN); give them behind make: make run $(firstword $(NOT_TAKEN))=...')
endef

# A name that nobody reads is a slip of the finger.
VARIABLES := $(RUN_VARIABLES) CC NASM LD AR OBJCOPY OBJDUMP PYTHON V BOCHS BXSHARE MODEL MACHINE_MEMORY VTD MIRROR \
	FOLDER FUZZ_ROUNDS FUZZ_SECONDS DEV FORCE REPORT
UNKNOWN := $(filter-out $(VARIABLES),$(foreach name,$(.VARIABLES), \
	$(if $(filter-out MAKE% .% -%,$(name)),$(if $(filter command line,$(origin $(name))),$(name)))))
$(if $(strip $(UNKNOWN)),$(error no variable of this Makefile: $(UNKNOWN); make help lists them))

.PHONY: run
run: $(EMULATED)
	$(say_not_taken)
	@$(PYTHON) tools/run.py

.PHONY: run-fredcheck
run-fredcheck: $(EMULATED)
	$(say_not_taken)
	@GUEST=bare $(PYTHON) tools/run.py

# Writes the image that is there, with whatever guest; asks before. Only where none is there it makes one.
build/manfred.img:
	@$(MAKE) --no-print-directory image

$(if $(filter usb,$(MAKECMDGOALS)),$(if $(KERNEL)$(INITRD)$(CMDLINE), \
	$(error KERNEL, INITRD and CMDLINE are for make image; make usb writes build/manfred.img as it is)))
.PHONY: usb
usb: | build/manfred.img
	@test ! build/manfred.efi -nt build/manfred.img || \
		echo 'usb: build/manfred.efi is newer than build/manfred.img, which make image makes anew'
	@tools/mkusb.sh build/manfred.img '$(DEV)'

.PHONY: run-kvm
run-kvm: build/linux.img | build/.setup-test
	@tools/run-kvm.sh $<

.PHONY: screenshots
screenshots: $(EMULATED) | build/.setup-test
	@$(PYTHON) tools/screenshots.py

.PHONY: timeline
timeline: $(EMULATED)
	@$(PYTHON) tools/timeline.py

.PHONY: bench
bench: $(EMULATED)
	@set -e; for program in $(sort $(wildcard tests/bench/*.py)); do $(PYTHON) $$program; done

# A page about what this emulator can run; or REPORT="--soft LOG... --native LOG... --bare LOG..."
.PHONY: report
report: $(EMULATED)
	@$(PYTHON) tools/report.py $(REPORT)

# ---- Host unit tests, under the address and undefined-behaviour sanitizers ----

build/unit/host.a: $(patsubst %,build/unit/%.o,$(filter-out lib/string.c,$(LIB_SOURCES)))
	@rm -f $@
	$(Q)$(AR) rcsD $@ $^

$(LIB_TESTS): build/unit/%: build/unit/tests/unit/%.c.o build/unit/host.a
	@mkdir -p $(@D)
	$(call say,LD )
	$(Q)$(CC) $(UNIT_CFLAGS) $^ -lcmocka -o $@

# tests/unit/boot/test_NAME.c tests boot/NAME.c with a firmware of its own.
BOOT_TEST_CFLAGS = $(UNIT_CFLAGS) -fshort-wchar $(EFI_HEADERS)
$(BOOT_TESTS): build/unit/boot/test_%: build/unit/tests/unit/boot/test_%.c.o build/unit/boot/%.c.o build/unit/host.a
	@mkdir -p $(@D)
	$(call say,LD )
	$(Q)$(CC) $(UNIT_CFLAGS) $^ -lcmocka -o $@
$(BOOT_TESTS:build/unit/boot/test_%=build/unit/tests/unit/boot/test_%.c.o) \
$(BOOT_TESTS:build/unit/boot/test_%=build/unit/boot/%.c.o): UNIT_CFLAGS += -fshort-wchar $(EFI_HEADERS)

build/unit/lib/test_result_screen: $(SCREEN_SOURCES:%=build/unit/%.o)

# tests/unit/vmm/ROOM/test_NAME.c tests vmm/ROOM/NAME.c; some of them together with what they put to use.
define vmm_test_uses
build/unit/vmm/$(1): $(patsubst %,build/model/vmm/%.o,$(2))
endef
vmm_test = $(eval $(call vmm_test_uses,$(1),$(2)))
RULES := $(patsubst %,vmx/rules_%.c,controls event guest host segments state)
$(call vmm_test,vmx/test_rules,$(RULES))
$(call vmm_test,vcpu/test_entry_rules,vcpu/event.c vmx/rules.c $(RULES))
$(call vmm_test,exits/test_hypercall,exits/test_services.c vcpu/event.c run/inject.c vcpu/entry_rules.c vmx/rules.c $(RULES))
$(call vmm_test,vcpu/test_event,run/inject.c)
$(call vmm_test,vcpu/test_control_registers,exits/control_registers.c)
$(call vmm_test,vcpu/test_msr_policy,exits/msr.c)
$(call vmm_test,exits/test_ports,vcpu/io_policy.c)
$(call vmm_test,run/test_sched,run/inject.c vcpu/event.c vcpu/timer.c)
$(call vmm_test,run/test_apic_store,run/store_decode.c)
$(call vmm_test,run/test_reset,vcpu/event.c vcpu/timer.c vcpu/control_registers.c exits/livelock.c run/inject.c)
$(call vmm_test,host/test_smp,host/ap_start.asm)
$(call vmm_test,fred/test_native,host/host_fred.c)
$(call vmm_test,fred/test_vmcs_dump,vmx/vmcs.c)
$(call vmm_test,run/test_snapshot,run/inject.c vcpu/event.c vcpu/entry_rules.c vmx/rules_event.c vmx/rules_guest.c fred/native.c vcpu/context.c vcpu/timer.c)
$(call vmm_test,soft/test_engine,soft/walk.c)
$(call vmm_test,soft/test_soft,run/inject.c vcpu/event.c fred/native.c soft/decode.c soft/engine.c soft/walk.c)
# The file under test: the same path without "test_".
$(foreach test,$(VMM_TESTS:build/unit/%=%),$(eval build/unit/$(test): \
	build/model/tests/unit/$(test).c.o build/model/$(dir $(test))$(patsubst test_%,%,$(notdir $(test))).c.o))
$(VMM_TESTS): build/model/tests/unit/model/model.c.o build/model/vmm/vcpu/end_request.c.o build/unit/host.a
	@mkdir -p $(@D)
	$(call say,LD )
	$(Q)$(CC) $(UNIT_CFLAGS) $(filter %.o,$^) $(filter %.a,$^) -Wl,-z,noexecstack -lcmocka -o $@

$(LIB_TESTS:build/unit/%=build/unit/tests/unit/%.c.o) $(BOOT_TESTS:build/unit/%=build/unit/tests/unit/%.c.o) $(VMM_TESTS:build/unit/%=build/model/tests/unit/%.c.o) \
build/model/tests/unit/model/model.c.o: | build/.setup-test

.PHONY: unit
unit: $(UNIT_TESTS)
	@$(PYTHON) tools/results.py unit $^

-include tests/fuzz/fuzz.mk

# ---- System tests: boots in the emulator, two at a time ----

build/tests/%.bin: tests/guests/%.asm build/.flags
	@mkdir -p $(@D)
	$(Q)$(NASM) -f bin -Werror $< -o $@

KERNEL32_CFLAGS = $(COMMON_CFLAGS) $(FREESTANDING) -m32 -fno-pic -mgeneral-regs-only
$(eval $(call object_rules,kernel32,KERNEL32_CFLAGS))
build/kernel32/%.asm.o: NASMFLAGS := -f elf32 -Werror
build/tests/smp.elf: tests/guests/smp.ld $(patsubst %,build/kernel32/tests/guests/%.o,smp_start.asm smp.c)
	@mkdir -p $(@D)
	$(Q)$(LD) -m elf_i386 -T tests/guests/smp.ld -static -nostdlib --no-pie --build-id=none \
		-z max-page-size=0x1000 -z noexecstack --fatal-warnings $(filter %.o,$^) -o $@

.PHONY: system
system: $(EMULATED) build/tests/multiboot.bin build/tests/smp.elf | build/.setup-test
	$(PYTHON) -m pytest -p no:cacheprovider -n 2 --dist loadscope \
		--junitxml=build/results/system.xml tests/system

# All parts, also after one that failed: the results in build/results/ are those of a whole run.
.PHONY: test
test: | build/.setup-test
	@$(PYTHON) tools/results.py begin
	@failed=; number=0; for part in unit fuzz system; do \
		number=$$((number + 1)); $(PYTHON) tools/progress.py begin $$part $$number 3; \
		$(MAKE) --no-print-directory $$part && $(PYTHON) tools/progress.py end $$part || failed="$$failed $$part"; \
	done; \
	$(PYTHON) tools/results.py merge; \
	test -z "$$failed" || { echo "test: FAILED:$$failed"; exit 1; }
	@echo "test: unit, fuzz and system tests passed"

# Which room of vmm/ uses which: docs/design.md, "Rooms".
.PHONY: layers
layers: build/vmm.elf
	@$(PYTHON) tools/layers.py

.PHONY: check
check: layers | build/.setup-check
	@tools/check.sh

# All programs, by another compiler: in a copy, since build/ is of one compiler at a time.
.PHONY: clang
clang: build/gen/qrcodegen.c | build/.setup-check build/.setup-test
	@mkdir -p build/clang/build/gen
	@cp -pu --parents $$(find Makefile linker.ld boot guest lib tests tools vmm -type f) build/clang
	@cp -p build/gen/qrcodegen.* build/clang/build/gen
	@cp -p build/.setup-* build/clang/build
	@$(MAKE) --no-print-directory -C build/clang CC=clang everything

.PHONY: everything
everything: all $(UNIT_TESTS) $(FUZZ_PROGRAMS) $(filter build/tools/%,$(EMULATED)) build/linux/checks

.PHONY: clean
clean:
	rm -rf build

.PHONY: help
help:
	@echo 'make            build the loader with the VMM in it: build/manfred.efi'
	@echo 'make run        boot Linux under Manfred in the emulator; variables:'
	@sed -n '/^  GUEST=/,/^$$/p' tools/run.py
	@echo 'make run-fredcheck   the FRED suite on the emulator itself, without Manfred (TESTS= ERRATA=)'
	@echo 'make test       unit, fuzz and system tests (each also a target of that name)'
	@echo 'make fuzz-long  libFuzzer, FUZZ_SECONDS= (60) per parser; needs clang'
	@echo 'make image      build/manfred.img, for a stick: a menu, conformance; KERNEL= INITRD= CMDLINE= a Linux guest'
	@echo 'make usb DEV=/dev/sdX   write that to a stick; asks first (FORCE=1: also one that is not removable)'
	@echo 'make run-kvm    boot Linux under Manfred in QEMU with nested VMX'
	@echo 'make bench      measure, in instructions'
	@echo 'make report     build/report.html: conformance, exits, costs, one delivery step by step'
	@echo 'make screenshots   the pictures in docs/img/, from boots in the emulator'
	@echo 'make timeline   one delivery as a picture in docs/img/, from the trace of a boot'
	@echo 'make check      a build with clang, format, static analysis, layers'
	@echo 'make layers     which room of vmm/ uses which, against docs/design.md'
	@echo 'make clean      remove build/ (the unpacked platform too)'
	@echo 'Everywhere: CC=clang another compiler; V=1 whole commands; MIRROR=http://... where Debian comes from'
