// What smartmeter-obis reads at a port of this machine: node smartmeter_obis.js MODULES PORT ADDRESS.
// Its serial port is a socket here, see readout_clients.py: the dialogue and the parser are its own.
'use strict';

const Module = require('module');
const net = require('net');
const { EventEmitter } = require('events');

const [modules, port, address] = process.argv.slice(2);
const rates = [];

class SerialPort extends EventEmitter {
    constructor(options) {
        super();
        this.isOpen = false;
        this.options = options;
    }

    open(done) {
        rates.push(this.options.baudRate);
        this.socket = net.connect(Number(this.options.path), '127.0.0.1', () => {
            this.isOpen = true;
            this.emit('open');
            done();
        });
        this.socket.on('data', (data) => this.emit('data', data));
        this.socket.on('error', (error) => this.emit('error', error));
    }

    update(options, done) {
        rates.push(options.baudRate);
        done();
    }

    flush(done) { done(); }
    write(data, done) { this.socket.write(data, done); }
    drain(done) { done(); }
    pause() { this.socket.pause(); }
    resume() { this.socket.resume(); }

    close(done) {
        this.isOpen = false;
        this.socket.destroy();
        done();
    }
}

const load = Module._load;
Module._load = (request, ...rest) => request === 'serialport' ? { SerialPort } : load(request, ...rest);
const SmartmeterObis = require(modules + '/smartmeter-obis');

const transport = SmartmeterObis.init({
    protocol: 'D0Protocol',
    transport: 'SerialRequestResponseTransport',
    transportSerialPort: port,
    protocolD0WakeupCharacters: 40,
    protocolD0DeviceAddress: address || '',
    requestInterval: 60,
    obisNameLanguage: 'en',
    obisFallbackMedium: 1,
    debug: 0,
    logger: (text) => process.stderr.write(text + '\n'),
}, (error, result) => {
    const values = {};
    for (const [id, measurement] of Object.entries(result || {})) {
        values[id] = measurement.values.map((value) => [value.value, value.unit]);
    }
    process.stdout.write(JSON.stringify({ error: error ? String(error) : null, rates, values }));
    process.exit(error ? 1 : 0);
});
transport.process();
