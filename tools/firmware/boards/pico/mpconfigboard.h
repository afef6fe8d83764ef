// The board that is sold: console on USB, both UARTs free for the meter.
#include "flashmap.h"
#define MICROPY_HW_BOARD_NAME "OpenAMS Pico"
#define MICROPY_HW_USB_MANUFACTURER_STRING "OpenAMS"
#define MICROPY_HW_USB_PRODUCT_FS_STRING "OpenAMS meter"
