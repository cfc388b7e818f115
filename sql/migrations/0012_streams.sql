-- Streams beside trades: aggregated trades, quotes, depth, corrections. A file may hold several: each is entered by itself.

alter table landing_files drop constraint landing_files_stream_accepted;
alter table landing_files add constraint landing_files_stream_accepted
check (stream in ('trades', 'agg_trades', 'quotes', 'depth', 'venue_bars', 'corrections'));
alter table landing_files drop constraint landing_files_space_accepted;
alter table landing_files add constraint landing_files_space_accepted
check (space in ('trade_id', 'exchange_trade_id', 'aggregate_id', 'update_id', 'ordinal'));
alter table landing_files drop constraint landing_files_identity;
alter table landing_files add constraint landing_files_identity unique (sha256, format, given_instrument, given_day, stream);
comment on column landing_files.space is 'Identity space of its rows; null for venue bars and corrections.';

alter table ingest_batches drop constraint ingest_batches_stream_accepted;
alter table ingest_batches add constraint ingest_batches_stream_accepted
check (stream in ('trades', 'agg_trades', 'quotes', 'depth', 'venue_bars', 'corrections'));
alter table ingest_batches add column undoes_batch_id bigint;
alter table ingest_batches add column reason text;
comment on column ingest_batches.rows_revised is 'Rows that replaced or ended another one. [rows]';
comment on column ingest_batches.undoes_batch_id is 'The batch that this one took back; null for every other.';
comment on column ingest_batches.reason is 'Why a batch was taken back, in the words of who did it; null for every other.';
-- A batch is taken back once.
create unique index ingest_batches_undoes on ingest_batches (undoes_batch_id) where undoes_batch_id is not null;

alter table coverage drop constraint coverage_space_accepted;
alter table coverage add constraint coverage_space_accepted
check (space in ('trade_id', 'exchange_trade_id', 'aggregate_id', 'update_id', 'ordinal'));
comment on column coverage.stream is 'trades, agg_trades, quotes, depth, or venue_bars_<interval>.';
comment on column coverage.space is 'The one identity space of that day''s rows; null for venue bars.';

alter table raw_trades drop constraint raw_trades_space_accepted;
alter table raw_trades add constraint raw_trades_space_accepted
check (space in ('trade_id', 'exchange_trade_id', 'aggregate_id', 'ordinal'));
alter table trade_revisions drop constraint trade_revisions_space_accepted;
alter table trade_revisions add constraint trade_revisions_space_accepted
check (space in ('trade_id', 'exchange_trade_id', 'aggregate_id', 'ordinal'));
alter table trade_revisions add column reason text;
comment on column trade_revisions.reason is 'Why, in the words of who corrected or undid it; null where nobody did.';
create index trade_revisions_batch on trade_revisions (batch_id);
create index trade_revisions_ended_by on trade_revisions (ended_by_batch_id);
create index trade_revisions_event_time on trade_revisions (instrument, event_time);

-- Some venues tell the price of a side without its size.
alter table raw_quotes drop constraint raw_quotes_bid_whole;
alter table raw_quotes drop constraint raw_quotes_ask_whole;
alter table raw_quotes add constraint raw_quotes_bid_whole check (bid_size is null or bid_price is not null);
alter table raw_quotes add constraint raw_quotes_ask_whole check (ask_size is null or ask_price is not null);
comment on column raw_quotes.bid_size is 'Quantity bid at that price; null with it, or where the venue does not say. [base asset or contracts]';
comment on column raw_quotes.ask_size is 'Quantity asked at that price; null with it, or where the venue does not say. [base asset or contracts]';

create table quote_revisions (
    revision_id bigint generated always as identity not null,
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
    kind text not null,
    believed_until timestamptz not null,
    ended_by_batch_id bigint not null,
    reason text,
    constraint quote_revisions_key primary key (revision_id),
    constraint quote_revisions_space_accepted check (space in ('update_id', 'ordinal')),
    constraint quote_revisions_time_source_accepted check (time_source in ('venue', 'local')),
    constraint quote_revisions_available_basis_accepted check (available_basis in ('observed', 'modelled')),
    constraint quote_revisions_kind_accepted check (kind in ('finer_time', 'correction', 'cancellation', 'undo'))
);
comment on table quote_revisions is 'Quotes as they were believed before something replaced them or took them back.';
comment on column quote_revisions.revision_id is 'Order of the revisions.';
comment on column quote_revisions.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column quote_revisions.space is 'Which identity `sequence` is: the venue''s update id, or the order in the source.';
comment on column quote_revisions.sequence is 'The venue''s id; in space `ordinal`, microseconds * 4096 + ordinal among equal times.';
comment on column quote_revisions.event_time is 'When the quote came to stand at the venue. [UTC]';
comment on column quote_revisions.event_time_ns is 'The venue''s own time where it is finer than a microsecond. [ns since 1970-01-01 UTC]';
comment on column quote_revisions.time_source is 'Whose clock event_time is.';
comment on column quote_revisions.bid_price is 'Highest price bid; null where nothing is bid. [quote asset]';
comment on column quote_revisions.bid_size is
'Quantity bid at that price; null with it, or where the venue does not say. [base asset or contracts]';
comment on column quote_revisions.ask_price is 'Lowest price asked; null where nothing is asked. [quote asset]';
comment on column quote_revisions.ask_size is
'Quantity asked at that price; null with it, or where the venue does not say. [base asset or contracts]';
comment on column quote_revisions.received_at is 'When the recording machine had it, by that machine''s clock. [UTC]';
comment on column quote_revisions.available_at is
'When it could be used: received_at plus the batch''s clock offset, else event_time plus publication delay. [UTC]';
comment on column quote_revisions.available_basis is 'Whether available_at was observed or modelled.';
comment on column quote_revisions.known_at is 'When the platform could first serve it: one stamp per batch. [UTC]';
comment on column quote_revisions.batch_id is 'The batch in ingest_batches that brought it.';
comment on column quote_revisions.kind is 'What ended the belief.';
comment on column quote_revisions.believed_until is 'known_at of what replaced it; it was believed from its own known_at until then. [UTC]';
comment on column quote_revisions.ended_by_batch_id is 'The batch that replaced or cancelled it.';
comment on column quote_revisions.reason is 'Why, in the words of who corrected or undid it; null where nobody did.';
grant select on quote_revisions to rrr_analyst;
grant select, insert on quote_revisions to rrr_writer;

create index quote_revisions_identity on quote_revisions (instrument, space, sequence);
create index quote_revisions_batch on quote_revisions (batch_id);
create index quote_revisions_ended_by on quote_revisions (ended_by_batch_id);

create table agg_trade_revisions (
    revision_id bigint generated always as identity not null,
    instrument text collate "C" not null,
    space text collate "C" not null,
    sequence bigint not null,
    event_time timestamptz not null,
    event_time_ns bigint,
    time_source text not null,
    price numeric not null,
    size numeric not null,
    side text,
    conditions text[],
    first_trade_id bigint not null,
    last_trade_id bigint not null,
    received_at timestamptz,
    available_at timestamptz not null,
    available_basis text not null,
    known_at timestamptz not null,
    batch_id bigint not null,
    kind text not null,
    believed_until timestamptz not null,
    ended_by_batch_id bigint not null,
    reason text,
    constraint agg_trade_revisions_key primary key (revision_id),
    constraint agg_trade_revisions_space_accepted check (space in ('trade_id', 'exchange_trade_id', 'aggregate_id', 'ordinal')),
    constraint agg_trade_revisions_time_source_accepted check (time_source in ('venue', 'local')),
    constraint agg_trade_revisions_side_accepted check (side in ('buy', 'sell')),
    constraint agg_trade_revisions_available_basis_accepted check (available_basis in ('observed', 'modelled')),
    constraint agg_trade_revisions_kind_accepted check (kind in ('finer_time', 'correction', 'cancellation', 'undo'))
);
comment on table agg_trade_revisions is
'Aggregated trades as they were believed before something replaced them or took them back.';
comment on column agg_trade_revisions.revision_id is 'Order of the revisions.';
comment on column agg_trade_revisions.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column agg_trade_revisions.space is
'Which identity `sequence` is: the venue''s trade id, its aggregate id, or the order in the source.';
comment on column agg_trade_revisions.sequence is 'The venue''s id; in space `ordinal`, microseconds * 4096 + ordinal among equal times.';
comment on column agg_trade_revisions.event_time is 'When the venue matched the trade. [UTC]';
comment on column agg_trade_revisions.event_time_ns is
'The venue''s own time where it is finer than a microsecond. [ns since 1970-01-01 UTC]';
comment on column agg_trade_revisions.time_source is 'Whose clock event_time is.';
comment on column agg_trade_revisions.price is 'Price of one unit of size, exact. [quote asset]';
comment on column agg_trade_revisions.size is 'Quantity, exact; contracts on inverse futures. [base asset or contracts]';
comment on column agg_trade_revisions.side is 'Aggressor: who took liquidity. Null where the venue does not say.';
comment on column agg_trade_revisions.conditions is 'The venue''s own remarks on the trade, sorted; null where there are none.';
comment on column agg_trade_revisions.first_trade_id is 'Id of the first trade that is aggregated in it.';
comment on column agg_trade_revisions.last_trade_id is 'Id of the last one; all between belong to it.';
comment on column agg_trade_revisions.received_at is 'When the recording machine had it, by that machine''s clock. [UTC]';
comment on column agg_trade_revisions.available_at is
'When it could be used: received_at plus the batch''s clock offset, else event_time plus publication delay. [UTC]';
comment on column agg_trade_revisions.available_basis is 'Whether available_at was observed or modelled.';
comment on column agg_trade_revisions.known_at is 'When the platform could first serve it: one stamp per batch. [UTC]';
comment on column agg_trade_revisions.batch_id is 'The batch in ingest_batches that brought it.';
comment on column agg_trade_revisions.kind is 'What ended the belief.';
comment on column agg_trade_revisions.believed_until is
'known_at of what replaced it; it was believed from its own known_at until then. [UTC]';
comment on column agg_trade_revisions.ended_by_batch_id is 'The batch that replaced or cancelled it.';
comment on column agg_trade_revisions.reason is 'Why, in the words of who corrected or undid it; null where nobody did.';
grant select on agg_trade_revisions to rrr_analyst;
grant select, insert on agg_trade_revisions to rrr_writer;

create index agg_trade_revisions_identity on agg_trade_revisions (instrument, space, sequence);
create index agg_trade_revisions_batch on agg_trade_revisions (batch_id);
create index agg_trade_revisions_ended_by on agg_trade_revisions (ended_by_batch_id);

create table depth_revisions (
    revision_id bigint generated always as identity not null,
    instrument text collate "C" not null,
    space text collate "C" not null,
    sequence bigint not null,
    event_time timestamptz not null,
    event_time_ns bigint,
    time_source text not null,
    message text not null,
    first_update_id bigint,
    last_update_id bigint not null,
    bids jsonb not null,
    asks jsonb not null,
    received_at timestamptz,
    available_at timestamptz not null,
    available_basis text not null,
    known_at timestamptz not null,
    batch_id bigint not null,
    kind text not null,
    believed_until timestamptz not null,
    ended_by_batch_id bigint not null,
    reason text,
    constraint depth_revisions_key primary key (revision_id),
    constraint depth_revisions_space_accepted check (space in ('update_id')),
    constraint depth_revisions_time_source_accepted check (time_source in ('venue', 'local')),
    constraint depth_revisions_message_accepted check (message in ('delta', 'snapshot')),
    constraint depth_revisions_available_basis_accepted check (available_basis in ('observed', 'modelled')),
    constraint depth_revisions_kind_accepted check (kind in ('finer_time', 'correction', 'cancellation', 'undo'))
);
comment on table depth_revisions is
'Changes and snapshots of order books as they were believed before something took them back.';
comment on column depth_revisions.revision_id is 'Order of the revisions.';
comment on column depth_revisions.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column depth_revisions.space is 'Which identity `sequence` is: the venue''s update id.';
comment on column depth_revisions.sequence is 'Twice the last update id, plus one for a snapshot: both may end at the same update.';
comment on column depth_revisions.event_time is 'When the book had changed so at the venue. [UTC]';
comment on column depth_revisions.event_time_ns is 'The venue''s own time where it is finer than a microsecond. [ns since 1970-01-01 UTC]';
comment on column depth_revisions.time_source is 'Whose clock event_time is.';
comment on column depth_revisions.message is 'Whether the levels change the book or are all of it.';
comment on column depth_revisions.first_update_id is 'First update in a change; null for a snapshot.';
comment on column depth_revisions.last_update_id is 'Last update in it.';
comment on column depth_revisions.bids is 'Levels bid as received, [price, size] as text; size 0 removes a level.';
comment on column depth_revisions.asks is 'Levels asked as received, [price, size] as text; size 0 removes a level.';
comment on column depth_revisions.received_at is 'When the recording machine had it, by that machine''s clock. [UTC]';
comment on column depth_revisions.available_at is
'When it could be used: received_at plus the batch''s clock offset, else event_time plus publication delay. [UTC]';
comment on column depth_revisions.available_basis is 'Whether available_at was observed or modelled.';
comment on column depth_revisions.known_at is 'When the platform could first serve it: one stamp per batch. [UTC]';
comment on column depth_revisions.batch_id is 'The batch in ingest_batches that brought it.';
comment on column depth_revisions.kind is 'What ended the belief.';
comment on column depth_revisions.believed_until is 'known_at of what replaced it; it was believed from its own known_at until then. [UTC]';
comment on column depth_revisions.ended_by_batch_id is 'The batch that replaced or cancelled it.';
comment on column depth_revisions.reason is 'Why, in the words of who corrected or undid it; null where nobody did.';
grant select on depth_revisions to rrr_analyst;
grant select, insert on depth_revisions to rrr_writer;

create index depth_revisions_identity on depth_revisions (instrument, space, sequence);
create index depth_revisions_batch on depth_revisions (batch_id);
create index depth_revisions_ended_by on depth_revisions (ended_by_batch_id);
