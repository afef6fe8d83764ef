// A Pico 2 W with its radio: for a MicroPython that has the sources of its driver.
#include "flashmap.h"
#define MICROPY_HW_BOARD_NAME "OpenAMS Pico 2 W"
#define MICROPY_HW_USB_MANUFACTURER_STRING "OpenAMS"
#define MICROPY_HW_USB_PRODUCT_FS_STRING "OpenAMS meter"
// With less, a collection goes through the whole heap again for each time that its stack was full.
#define MICROPY_ALLOC_GC_STACK_SIZE (256)

#define MICROPY_PY_NETWORK 1
#define MICROPY_PY_NETWORK_HOSTNAME_DEFAULT "openams"
// The radio hangs on SPI, which a PIO makes; it has the LED and a pin of the converter.
#define CYW43_USE_SPI (1)
#define CYW43_LWIP (1)
#define CYW43_GPIO (1)
#define CYW43_SPI_PIO (1)
#define MICROPY_HW_PIN_EXT_COUNT CYW43_WL_GPIO_COUNT
int mp_hal_is_pin_reserved(int n);
#define MICROPY_HW_PIN_RESERVED(i) mp_hal_is_pin_reserved(i)
