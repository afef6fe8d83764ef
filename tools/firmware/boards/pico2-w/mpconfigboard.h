// The same with a radio on the board, which stays off: Debian has no sources of its driver.
#include "flashmap.h"
#define MICROPY_HW_BOARD_NAME "OpenAMS Pico 2 W"
#define MICROPY_HW_USB_MANUFACTURER_STRING "OpenAMS"
#define MICROPY_HW_USB_PRODUCT_FS_STRING "OpenAMS meter"
// With less, a collection goes through the whole heap again for each time that its stack was full.
#define MICROPY_ALLOC_GC_STACK_SIZE (256)
