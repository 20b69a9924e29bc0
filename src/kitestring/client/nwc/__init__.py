from kitestring.client.nwc.client import NwcClient as NwcClient
