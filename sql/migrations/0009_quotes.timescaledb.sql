-- Quotes on TimescaleDB: a hypertable of one chunk per UTC day, made by the database when the day first arrives.

create table raw_quotes (
    instrument text collate "C" not null,
    space text collate "C" not null,
    sequence bigint not null,
    event_time timestamptz not null,
    event_time_ns bigint,
    time_source text not null,
    bid_price numeric,
    bid_size numeric,
    ask_price numeric,
    ask_size numeric,
    received_at timestamptz,
    available_at timestamptz not null,
    available_basis text not null,
    known_at timestamptz not null,
    batch_id bigint not null,
    constraint raw_quotes_key primary key (instrument, space, sequence, event_time),
    constraint raw_quotes_space_accepted check (space in ('update_id', 'ordinal')),
    constraint raw_quotes_time_source_accepted check (time_source in ('venue', 'local')),
    constraint raw_quotes_available_basis_accepted check (available_basis in ('observed', 'modelled')),
    constraint raw_quotes_bid_positive check (bid_price > 0 and bid_size > 0),
    constraint raw_quotes_ask_positive check (ask_price > 0 and ask_size > 0),
    constraint raw_quotes_bid_whole check ((bid_price is null) = (bid_size is null)),
    constraint raw_quotes_ask_whole check ((ask_price is null) = (ask_size is null)),
    constraint raw_quotes_available_order check (available_at >= event_time)
);
comment on table raw_quotes is 'Every best bid and ask as the venue reported it, once. Current rows only.';
comment on column raw_quotes.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column raw_quotes.space is 'Which identity `sequence` is: the venue''s update id, or the order in the source.';
comment on column raw_quotes.sequence is 'The venue''s id; in space `ordinal`, microseconds * 4096 + ordinal among equal times.';
comment on column raw_quotes.event_time is 'When the quote came to stand at the venue. [UTC]';
comment on column raw_quotes.event_time_ns is 'The venue''s own time where it is finer than a microsecond. [ns since 1970-01-01 UTC]';
comment on column raw_quotes.time_source is 'Whose clock event_time is.';
comment on column raw_quotes.bid_price is 'Highest price bid; null where nothing is bid. [quote asset]';
comment on column raw_quotes.bid_size is 'Quantity bid at that price; null with it. [base asset or contracts]';
comment on column raw_quotes.ask_price is 'Lowest price asked; null where nothing is asked. [quote asset]';
comment on column raw_quotes.ask_size is 'Quantity asked at that price; null with it. [base asset or contracts]';
comment on column raw_quotes.received_at is 'When the recording machine had it, by that machine''s clock. [UTC]';
comment on column raw_quotes.available_at is
'When it could be used: received_at plus the batch''s clock offset, else event_time plus publication delay. [UTC]';
comment on column raw_quotes.available_basis is 'Whether available_at was observed or modelled.';
comment on column raw_quotes.known_at is 'When the platform could first serve it: one stamp per batch. [UTC]';
comment on column raw_quotes.batch_id is 'The batch in ingest_batches that brought it.';
grant select on raw_quotes to rrr_analyst;
grant select, insert, delete on raw_quotes to rrr_writer;

-- As on raw_trades: rows lie in time order, so a block range index finds a window at almost no cost to the load.
create index raw_quotes_event_time on raw_quotes using brin (event_time) with (pages_per_range = 32, autosummarize = on);

do $$
begin
    perform create_hypertable('raw_quotes', by_range('event_time', interval '1 day'), create_default_indexes => false);
end;
$$;
