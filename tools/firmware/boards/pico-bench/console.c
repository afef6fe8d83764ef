// Without USB and UART REPL nothing else defines what os.dupterm puts its input in.
#include "py/ringbuf.h"

static uint8_t array[260];
ringbuf_t stdin_ringbuf = { array, sizeof(array) };
