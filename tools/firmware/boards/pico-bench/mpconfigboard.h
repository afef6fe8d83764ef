// The meter's chip without USB, whose interrupts would disturb what is measured:
// for the emulator. Both UARTs are the meter's; the console is what os.dupterm gets.
#include "flashmap.h"
#define MICROPY_HW_BOARD_NAME "OpenAMS Pico bench"
#define MICROPY_HW_ENABLE_USBDEV (0)
#define MICROPY_HW_USB_CDC (0)
#define MICROPY_HW_ENABLE_UART_REPL (0)
// With less, a collection goes through the whole heap again for each time that its stack was full.
#define MICROPY_ALLOC_GC_STACK_SIZE (256)
