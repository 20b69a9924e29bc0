from kitestring.backend.lnd.node import from_url as from_url
