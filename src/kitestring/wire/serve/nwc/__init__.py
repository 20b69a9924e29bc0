from kitestring.wire.serve.nwc.wire import WIRE as WIRE
