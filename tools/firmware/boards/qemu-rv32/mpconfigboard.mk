# The instructions of an ESP32-C3 (RV32IMC), with atomics.
QEMU_ARCH = riscv32
QEMU_MACHINE = virt
CFLAGS += -DQEMU_SOC_VIRT
CFLAGS += -DMICROPY_HW_MCU_NAME='"RV32IMC"'
LDSCRIPT = mcu/rv32/virt.ld
SRC_BOARD_O += shared/runtime/gchelper_native.o shared/runtime/gchelper_rv32i.o
MPY_CROSS_FLAGS += -march=rv32imc
# GCC 12 of Debian has no libraries under a name with zicsr; last of all, this is what links.
LIBS = -march=rv32imac -mabi=ilp32
include $(BOARD_DIR)/common.mk
