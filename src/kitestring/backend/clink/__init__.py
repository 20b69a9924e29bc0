from kitestring.backend.clink.node import from_url as from_url
