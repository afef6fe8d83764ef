"""Which pin is what on an ESP32 DevKit: none of flash and PSRAM (6 to 11, 16, 17).

HAN port: UART HAN_UART. Service port: UART SERVICE_UART. Clock chip: I2C0; display: I2C1. Metering
IC: SPI SPI_BUS. Contacts: the relay's is low when closed, covers are high when off, MAGNETIC_FIELD
is low when there, BUTTON when pressed, SUPPLY when it falls.
"""

from micropython import const

NAME = "esp32"
# Nothing is received there; left to itself MicroPython would take a pin of the PSRAM.
HAN_UART, HAN_TX, HAN_RX = const(2), const(27), const(0)
SERVICE_UART, SERVICE_TX, SERVICE_RX = const(1), const(25), const(26)
SDA, SCL = const(21), const(22)
DISPLAY_SDA, DISPLAY_SCL = const(14), const(15)
COIL_OPEN, COIL_CLOSE, CONTACT = const(32), const(33), const(34)
TEST_LED, STATUS_LED = const(12), const(2)
SPI_BUS, SPI_SCK, SPI_MISO, SPI_MOSI = const(2), const(18), const(19), const(23)
SPI_CS = const(5)
TERMINAL_COVER, METER_COVER, MAGNETIC_FIELD = const(35), const(36), const(39)
BUTTON, SUPPLY = const(4), const(13)
