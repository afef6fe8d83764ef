"""A Modbus slave that is read and never written: SunSpec meter models and the registers of an
SDM630, over TCP and RS-485 (MODBUS Application Protocol V1.1b3)."""
