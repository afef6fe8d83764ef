// No meter runs here: a REPL on UART0, without USB, where code is measured by the cycle.
#include "flashmap.h"
#define MICROPY_HW_BOARD_NAME "OpenAMS Pico REPL"
#define MICROPY_HW_ENABLE_USBDEV (0)
#define MICROPY_HW_USB_CDC (0)
#define MICROPY_HW_ENABLE_UART_REPL (1)
// With less, a collection goes through the whole heap again for each time that its stack was full.
#define MICROPY_ALLOC_GC_STACK_SIZE (256)
