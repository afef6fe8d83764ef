set(PICO_BOARD "pico")
set(PICO_PLATFORM "rp2040")
# Where the firmware must end, and where the stack does. Made by tools/firmware/images.py.
# Behind the port's own linker script: the last word counts.
link_libraries(${MICROPY_BOARD_DIR}/flashmap.ld)
include(${MICROPY_BOARD_DIR}/flashmap.cmake OPTIONAL)
# A falling supply waits for a collection under way: as short as it can be.
set_source_files_properties(${MICROPY_DIR}/py/gc.c PROPERTIES COMPILE_OPTIONS "-O2")
