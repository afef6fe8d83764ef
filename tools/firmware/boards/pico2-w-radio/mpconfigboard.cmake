set(PICO_BOARD "pico2_w")
# Its ARM cores: what is frozen is code for those.
set(PICO_PLATFORM "rp2350")
set(MICROPY_PY_LWIP ON)
set(MICROPY_PY_NETWORK_CYW43 ON)
# The SDK's bus to the radio wants a header that only Bluetooth, which is off, would bring: looked
# for last, since beside it lies another cyw43_configport.h than the port's.
set(_radio ${MICROPY_DIR}/lib/pico-sdk/src/rp2_common/pico_cyw43_driver)
set_source_files_properties(${_radio}/cyw43_bus_pio_spi.c PROPERTIES
    COMPILE_OPTIONS "-idirafter;${_radio}/include")
# Where the firmware must end, and where the stack does. Made by tools/firmware/images.py.
# Behind the port's own linker script: the last word counts.
link_libraries(${MICROPY_BOARD_DIR}/flashmap.ld)
# A falling supply waits for a collection under way: as short as it can be.
set_source_files_properties(${MICROPY_DIR}/py/gc.c PROPERTIES COMPILE_OPTIONS "-O2")
