// The flash chip that the firmware runs from, erased and programmed in slices.
//
// While the chip is busy nothing can be fetched from it: interrupts are off and the code is in
// RAM. A sector takes 45 ms to erase, 400 at the most (W25Q16JV, AC characteristics). So an erase
// is suspended (75h) when its slice is over, and resumed (7Ah) in a later one; meanwhile the rest
// of the chip can be read and programmed. A program is at most PIECE octets long:
// 50 + 63 * 12 us at the most, less than a FIFO of a UART at 115200 Bd holds.
#include <string.h>
#include "py/mperrno.h"
#include "py/runtime.h"
#include "py/mphal.h"
#include "hardware/clocks.h"
#include "hardware/flash.h"
#include "hardware/structs/io_qspi.h"
#include "hardware/structs/ssi.h"
#include "hardware/structs/timer.h"
#include "hardware/sync.h"
#include "pico/bootrom.h"

#define RAM_CODE __no_inline_not_in_flash_func

enum { WRITE_ENABLE = 0x06, PROGRAM = 0x02, ERASE_SECTOR = 0x20, STATUS_1 = 0x05, STATUS_2 = 0x35,
       SUSPEND = 0x75, RESUME = 0x7a };
enum { BUSY = 0x01, SUSPENDED = 0x80 };
enum { PIECE = 64, BOOT2_WORDS = 64 };
// tSUS is 20 us: what has not stopped by then has ended, or never will.
enum { SUSPEND_US = 200, PROGRAM_US = 20000 };
// The frequency that the chip is good for, as the port has it.
enum { FLASH_HZ = 133000000 };
enum { DONE, UNFINISHED, OCCUPIED, STUCK };

typedef struct {
    uint8_t command;
    uint32_t address;
    uint32_t slice_us;
    uint32_t divisor;  // of the clock of the flash
    uint32_t count;
    uint8_t octets[PIECE];
} job_t;

static __force_inline void select_chip(bool on) {
    uint32_t level = on ? IO_QSPI_GPIO_QSPI_SS_CTRL_OUTOVER_VALUE_LOW
        : IO_QSPI_GPIO_QSPI_SS_CTRL_OUTOVER_VALUE_HIGH;
    hw_write_masked(&io_qspi_hw->io[1].ctrl, level << IO_QSPI_GPIO_QSPI_SS_CTRL_OUTOVER_LSB,
        IO_QSPI_GPIO_QSPI_SS_CTRL_OUTOVER_BITS);
}

static uint8_t RAM_CODE(shift)(uint8_t octet) {
    ssi_hw->dr0 = octet;
    while (!(ssi_hw->sr & SSI_SR_RFNE_BITS)) {
    }
    return ssi_hw->dr0;
}

static uint8_t RAM_CODE(ask)(uint8_t command) {
    select_chip(true);
    shift(command);
    uint8_t answer = shift(0);
    select_chip(false);
    return answer;
}

static void RAM_CODE(say)(uint8_t command) {
    select_chip(true);
    shift(command);
    select_chip(false);
}

static void RAM_CODE(say_with_address)(const job_t *job) {
    say(WRITE_ENABLE);
    select_chip(true);
    shift(job->command);
    shift(job->address >> 16);
    shift(job->address >> 8);
    shift(job->address);
    for (uint32_t k = 0; k < job->count; ++k) {
        shift(job->octets[k]);
    }
    select_chip(false);
}

// Whether the chip is still busy when so much time is over.
static bool RAM_CODE(is_busy_after)(uint32_t us) {
    uint32_t begun = timer_hw->timerawl;
    while (ask(STATUS_1) & BUSY) {
        if (timer_hw->timerawl - begun >= us) {
            return true;
        }
    }
    return false;
}

static int RAM_CODE(in_slice)(const job_t *job) {
    bool suspended = ask(STATUS_2) & SUSPENDED;
    if (job->command == RESUME) {
        if (!suspended) {
            return DONE;
        }
        say(RESUME);
    } else {
        if (suspended && job->command == ERASE_SECTOR) {
            return OCCUPIED;
        }
        say_with_address(job);
    }
    if (!is_busy_after(job->slice_us)) {
        return DONE;
    }
    if (job->command == PROGRAM) {
        return STUCK;
    }
    say(SUSPEND);
    if (is_busy_after(SUSPEND_US)) {
        return STUCK;
    }
    return ask(STATUS_2) & SUSPENDED ? UNFINISHED : DONE;
}

// One slice, with interrupts off: nothing in it may be fetched from the flash.
static int RAM_CODE(do_job)(const job_t *job) {
    rom_connect_internal_flash_fn connect = (rom_connect_internal_flash_fn)rom_func_lookup_inline(
        ROM_FUNC_CONNECT_INTERNAL_FLASH);
    rom_flash_exit_xip_fn exit_xip = (rom_flash_exit_xip_fn)rom_func_lookup_inline(
        ROM_FUNC_FLASH_EXIT_XIP);
    rom_flash_flush_cache_fn flush_cache = (rom_flash_flush_cache_fn)rom_func_lookup_inline(
        ROM_FUNC_FLASH_FLUSH_CACHE);
    // What sets the interface up for reading at the boot does so again afterwards.
    uint32_t boot2[BOOT2_WORDS];
    const volatile uint32_t *from = (const volatile uint32_t *)XIP_BASE;
    for (int k = 0; k < BOOT2_WORDS; ++k) {
        boot2[k] = from[k];
    }
    uint32_t interrupts = save_and_disable_interrupts();
    connect();
    exit_xip();
    int result = in_slice(job);
    flush_cache();
    ((void (*)(void))((intptr_t)boot2 + 1))();
    while (ssi_hw->sr & SSI_SR_BUSY_BITS) {
    }
    hw_clear_bits(&ssi_hw->ssienr, SSI_SSIENR_SSI_EN_BITS);
    ssi_hw->baudr = job->divisor;
    hw_set_bits(&ssi_hw->ssienr, SSI_SSIENR_SSI_EN_BITS);
    restore_interrupts(interrupts);
    return result;
}

static int run(job_t *job) {
    uint32_t divisor = (clock_get_hz(clk_sys) + FLASH_HZ - 1) / FLASH_HZ;
    job->divisor = divisor + (divisor & 1);
    int result = do_job(job);
    if (result == STUCK) {
        mp_raise_OSError(MP_EIO);
    }
    return result;
}

#ifdef OPENAMS_HALF_SIZE
extern char __flash_binary_start, __flash_binary_end;

static uint32_t code_start(void) {
    return (uintptr_t)&__flash_binary_start - XIP_BASE;
}

// code(): where in the flash the code that runs is, and how long.
static mp_obj_t nor_code(void) {
    mp_obj_t both[2] = {
        MP_OBJ_NEW_SMALL_INT(code_start()),
        MP_OBJ_NEW_SMALL_INT(&__flash_binary_end - &__flash_binary_start),
    };
    return mp_obj_new_tuple(2, both);
}
static MP_DEFINE_CONST_FUN_OBJ_0(nor_code_obj, nor_code);
#endif

static uint32_t checked(mp_obj_t offset, uint32_t size) {
    uint32_t at = mp_obj_get_int(offset);
    if (at > MICROPY_HW_FLASH_STORAGE_BYTES || size > MICROPY_HW_FLASH_STORAGE_BYTES - at) {
        mp_raise_ValueError(MP_ERROR_TEXT("outside the meter's part of the flash"));
    }
    #ifdef OPENAMS_HALF_SIZE
    // The half that runs is never written.
    uint32_t half = code_start() - OPENAMS_CODE_OFFSET - MICROPY_HW_FLASH_STORAGE_BASE;
    if (at < half + OPENAMS_HALF_SIZE && at + size > half) {
        mp_raise_ValueError(MP_ERROR_TEXT("that is the code that runs"));
    }
    #endif
    return MICROPY_HW_FLASH_STORAGE_BASE + at;
}

// erase(offset, slice_us): begins to erase a sector of the meter's part of the flash.
// Gives 0 done, 1 unfinished, 2 not begun, as another one is unfinished.
static mp_obj_t nor_erase(mp_obj_t offset, mp_obj_t slice_us) {
    job_t job = { .command = ERASE_SECTOR, .slice_us = mp_obj_get_int(slice_us), .count = 0 };
    job.address = checked(offset, FLASH_SECTOR_SIZE) & ~(FLASH_SECTOR_SIZE - 1);
    return MP_OBJ_NEW_SMALL_INT(run(&job));
}
static MP_DEFINE_CONST_FUN_OBJ_2(nor_erase_obj, nor_erase);

// go_on(slice_us): goes on with the erase that is unfinished, if there is one: 0 done, 1 unfinished.
static mp_obj_t nor_go_on(mp_obj_t slice_us) {
    job_t job = { .command = RESUME, .slice_us = mp_obj_get_int(slice_us), .count = 0 };
    return MP_OBJ_NEW_SMALL_INT(run(&job));
}
static MP_DEFINE_CONST_FUN_OBJ_1(nor_go_on_obj, nor_go_on);

// program(offset, data): as long as it is, also while an erase elsewhere is unfinished.
static mp_obj_t nor_program(mp_obj_t offset, mp_obj_t data) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(data, &buffer, MP_BUFFER_READ);
    job_t job = { .command = PROGRAM, .slice_us = PROGRAM_US };
    job.address = checked(offset, buffer.len);
    const uint8_t *from = buffer.buf;
    size_t left = buffer.len;
    while (left) {
        // Inside one page, and from RAM.
        size_t count = MIN(left, MIN(PIECE, FLASH_PAGE_SIZE - job.address % FLASH_PAGE_SIZE));
        memcpy(job.octets, from, count);
        job.count = count;
        run(&job);
        job.address += count;
        from += count;
        left -= count;
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(nor_program_obj, nor_program);

static const mp_rom_map_elem_t nor_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_nor) },
    { MP_ROM_QSTR(MP_QSTR_erase), MP_ROM_PTR(&nor_erase_obj) },
    { MP_ROM_QSTR(MP_QSTR_go_on), MP_ROM_PTR(&nor_go_on_obj) },
    { MP_ROM_QSTR(MP_QSTR_program), MP_ROM_PTR(&nor_program_obj) },
    #ifdef OPENAMS_HALF_SIZE
    { MP_ROM_QSTR(MP_QSTR_code), MP_ROM_PTR(&nor_code_obj) },
    #endif
};
static MP_DEFINE_CONST_DICT(nor_globals, nor_globals_table);

const mp_obj_module_t nor_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&nor_globals,
};
MP_REGISTER_MODULE(MP_QSTR_nor, nor_module);
