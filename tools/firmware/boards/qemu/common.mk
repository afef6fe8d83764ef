# What the machines of QEMU share: a heap of 1.75 MiB, for tests that come as source; AES and SHA-256.
MICROPY_HEAP_SIZE = 1835008
CFLAGS += -DMICROPY_PY_CRYPTOLIB=1 -DMICROPY_SSL_MBEDTLS=1
CFLAGS += -DMBEDTLS_CONFIG_FILE='"$(BOARD_DIR)/mbedtls_part.h"' -I$(TOP)/lib/mbedtls/include
SRC_C += $(addprefix lib/mbedtls/library/, aes.c platform_util.c sha256.c)
