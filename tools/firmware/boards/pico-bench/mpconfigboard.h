// The same chip without USB, whose interrupts would disturb what is measured:
// for the emulator. The console is UART0 until the meter takes it for HAN.
#include "flashmap.h"
#define MICROPY_HW_BOARD_NAME "OpenAMS Pico bench"
#define MICROPY_HW_ENABLE_USBDEV (0)
#define MICROPY_HW_USB_CDC (0)
#define MICROPY_HW_ENABLE_UART_REPL (1)
