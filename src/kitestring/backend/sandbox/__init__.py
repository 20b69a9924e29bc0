from kitestring.backend.sandbox.node import from_url as from_url
