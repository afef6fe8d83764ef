"""For the customer's home: what the HAN port lists, said to an MQTT broker over Wi-Fi, with
discovery for Home Assistant. It publishes and never takes a command; a meter without a network
does not load it. See docs/home.md."""
