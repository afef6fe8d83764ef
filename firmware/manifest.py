"""What is frozen into a firmware image; `tools/firmware` sets OPENAMS_BOARD_DIR."""

freeze("$(PORT_DIR)/modules")
package("ams", base_path=".", opt=3)
