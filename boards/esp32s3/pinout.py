"""Which pin is what on an ESP32-S3 DevKitC-1: no strapping pin, none of USB, flash or PSRAM.

HAN port: UART HAN_UART. Service port: UART SERVICE_UART. Clock chip: I2C0; display: I2C1. Metering
IC: SPI SPI_BUS. Contacts: the relay's is low when closed, covers are high when off, MAGNETIC_FIELD
is low when there, BUTTON when pressed, SUPPLY when it falls.
"""

from micropython import const

NAME = "esp32-s3"
HAN_UART, HAN_TX, HAN_RX = const(2), const(17), const(18)
SERVICE_UART, SERVICE_TX, SERVICE_RX = const(1), const(15), const(16)
SDA, SCL = const(8), const(9)
DISPLAY_SDA, DISPLAY_SCL = const(4), const(14)
COIL_OPEN, COIL_CLOSE, CONTACT = const(5), const(6), const(7)
TEST_LED, STATUS_LED = const(47), const(2)
SPI_BUS, SPI_SCK, SPI_MISO, SPI_MOSI = const(1), const(12), const(13), const(11)
SPI_CS = const(10)
TERMINAL_COVER, METER_COVER, MAGNETIC_FIELD = const(39), const(40), const(41)
BUTTON, SUPPLY = const(42), const(21)
