# SPDX-License-Identifier: BSD-2-Clause
# Fuzzing of lib/'s parsers and of software FRED. `make fuzz` is bounded and the same in every
# run, with any compiler; `make fuzz-long` is libFuzzer's search, FUZZ_SECONDS per program.

FUZZ_ROUNDS ?= 100000
FUZZ_SECONDS ?= 60
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_PROGRAMS := $(FUZZ_NAMES:%=build/fuzz/%)
# What they test of the VMM, over the headers of the model.
FUZZ_VMM_soft_decode := soft/decode
FUZZ_VMM_soft_engine := soft/engine soft/walk
FUZZ_VMM_store_decode := run/store_decode

$(foreach name,$(FUZZ_NAMES),$(eval build/fuzz/$(name): \
	$(FUZZ_VMM_$(name):%=build/model/vmm/%.c.o)))
$(foreach name,$(FUZZ_NAMES),$(eval build/fuzz/long/$(name): $(FUZZ_VMM_$(name):%=vmm/%.c)))

build/fuzz/%: build/unit/tests/fuzz/fuzz_%.c.o build/unit/tests/fuzz/driver.c.o build/unit/host.a
	@mkdir -p $(@D)
	$(call say,LD )
	$(Q)$(CC) $(UNIT_CFLAGS) $(filter %.o,$^) $(filter %.a,$^) -o $@

.PHONY: fuzz
fuzz: $(FUZZ_PROGRAMS)
	@$(PYTHON) tools/results.py fuzz $(FUZZ_ROUNDS) $^

FUZZ_LONG = clang -Itests/unit/model $(filter-out -MMD -MP,$(COMMON_CFLAGS)) -O1 \
	-fno-sanitize-recover=all

build/fuzz/long/lib/%.o: lib/%.c $(wildcard lib/*.h) | build/.setup-check build/gen/qrcodegen.h build/gen/build_name.h
	@mkdir -p $(@D)
	$(Q)$(FUZZ_LONG) -fsanitize=fuzzer-no-link,address,undefined -c $< -o $@

build/fuzz/long/lib.a: $(LIB_SOURCES:lib/%.c=build/fuzz/long/lib/%.o)
	@rm -f $@
	$(Q)$(AR) rcsD $@ $^

build/fuzz/long/%: tests/fuzz/fuzz_%.c build/fuzz/long/lib.a
	$(Q)$(FUZZ_LONG) -fsanitize=fuzzer,address,undefined $(filter %.c,$^) $(filter %.a,$^) \
		-o $@

.PHONY: fuzz-long
fuzz-long: $(FUZZ_NAMES:%=build/fuzz/long/%) $(FUZZ_PROGRAMS)
	@for name in $(FUZZ_NAMES); do \
		mkdir -p build/fuzz/corpus/$$name && \
		build/fuzz/$$name -s build/fuzz/corpus/$$name && \
		build/fuzz/long/$$name -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 \
			-artifact_prefix=build/fuzz/ build/fuzz/corpus/$$name || exit 1; \
	done
