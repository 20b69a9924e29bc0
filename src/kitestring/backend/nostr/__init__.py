from kitestring.backend.nostr.node import from_url as from_url
