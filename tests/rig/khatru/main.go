// A relay on khatru as its readme makes one, with its store in memory. With -auth it wants to know who reads and writes.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"

	"github.com/fiatjaf/eventstore/slicestore"
	"github.com/fiatjaf/khatru"
	"github.com/nbd-wtf/go-nostr"
)

func main() {
	address := flag.String("listen", "127.0.0.1:3334", "where it listens")
	auth := flag.Bool("auth", false, "only who has authenticated reads and writes")
	flag.Parse()

	store := slicestore.SliceStore{}
	if err := store.Init(); err != nil {
		log.Fatal(err)
	}
	relay := khatru.NewRelay()
	relay.StoreEvent = append(relay.StoreEvent, store.SaveEvent)
	relay.ReplaceEvent = append(relay.ReplaceEvent, store.ReplaceEvent)
	relay.QueryEvents = append(relay.QueryEvents, store.QueryEvents)
	relay.DeleteEvent = append(relay.DeleteEvent, store.DeleteEvent)
	if *auth {
		relay.RejectFilter = append(relay.RejectFilter, func(ctx context.Context, _ nostr.Filter) (bool, string) {
			return khatru.GetAuthed(ctx) == "", "auth-required: only for those we know"
		})
		relay.RejectEvent = append(relay.RejectEvent, func(ctx context.Context, _ *nostr.Event) (bool, string) {
			return khatru.GetAuthed(ctx) == "", "auth-required: only from those we know"
		})
	}
	log.Fatal(http.ListenAndServe(*address, relay))
}
