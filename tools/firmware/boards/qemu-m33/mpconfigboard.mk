# The core of the RP2350. It starts in the secure state, which sees everything 0x10000000 higher.
QEMU_ARCH = arm
QEMU_MACHINE = mps2-an505
CFLAGS += -mthumb -mcpu=cortex-m33 -mfloat-abi=soft
CFLAGS += -DQEMU_SOC_MPS2 -DMICROPY_HW_UART0_BASE=0x50200000
CFLAGS += -DMICROPY_HW_MCU_NAME='"Cortex-M33"'
AFLAGS += -mcpu=cortex-m33
LDSCRIPT = $(BOARD_DIR)/an505.ld
SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb2.o
# As the port of the RP2350 has it for what is frozen.
MPY_CROSS_FLAGS += -march=armv6m
include $(BOARD_DIR)/common.mk
