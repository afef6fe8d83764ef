set(PICO_BOARD "pico")
set(PICO_PLATFORM "rp2040")
# Only asserts where the firmware must end. Made from boards/pico/flashmap.py.
add_link_options(${MICROPY_BOARD_DIR}/flashmap.ld)
