-- What is traded, and which of its trades count.

create table instruments (
    instrument text collate "C" not null,
    valid_from timestamptz not null,
    valid_to timestamptz,
    venue text collate "C" not null,
    symbol text collate "C" not null,
    contract_type text not null,
    price_scale smallint not null,
    size_scale smallint not null,
    bars_stream text not null default 'trades',
    listed_on date,
    delisted_on date,
    constraint instruments_key primary key (instrument, valid_from),
    constraint instruments_contract_type_accepted check (contract_type in ('spot', 'linear', 'inverse')),
    constraint instruments_instrument_form check (instrument = venue || ':' || symbol),
    constraint instruments_symbol_form check (symbol ~ '^[A-Z0-9]+$'),
    constraint instruments_price_scale_range check (price_scale between 0 and 12),
    constraint instruments_size_scale_range check (size_scale between 0 and 18),
    constraint instruments_valid_order check (valid_from < valid_to)
);
comment on table instruments is
'What is traded where, with the exact scales that its numbers are held to. Effective-dated: a change closes a row and opens another.';
comment on column instruments.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column instruments.valid_from is 'From when these values hold. [UTC]';
comment on column instruments.valid_to is 'Until when they held; null for the current row. [UTC]';
comment on column instruments.venue is 'The part before the colon.';
comment on column instruments.symbol is 'The part after the colon: upper case, no separators.';
comment on column instruments.contract_type is 'Spot, linear (settled in the quote asset) or inverse (size is in contracts).';
comment on column instruments.price_scale is 'Decimals a price may have; one with more is quarantined. [decimals]';
comment on column instruments.size_scale is 'Decimals a size may have; one with more is quarantined. [decimals]';
comment on column instruments.bars_stream is 'The one declared stream that the instrument''s bars come from.';
comment on column instruments.listed_on is 'First day on which it is expected; null: no day is expected. [UTC day]';
comment on column instruments.delisted_on is 'First day on which it is no longer expected. [UTC day]';
grant select on instruments to rrr_analyst;
grant select, insert, update on instruments to rrr_writer;

-- One current row per instrument.
create unique index instruments_current on instruments (instrument) where valid_to is null;

create table trade_conditions (
    venue text collate "C" not null,
    condition text not null,
    counts boolean not null,
    source text not null,
    constraint trade_conditions_key primary key (venue, condition)
);
comment on table trade_conditions is 'The venues'' rules on which remarked trades count in bars. A condition that is not listed counts.';
comment on column trade_conditions.venue is 'The venue whose rule it is.';
comment on column trade_conditions.condition is 'The remark, as kept in raw_trades.conditions.';
comment on column trade_conditions.counts is 'Whether a trade with this remark counts in the venue''s bars, and so in ours.';
comment on column trade_conditions.source is 'Where the venue says so.';
grant select on trade_conditions to rrr_analyst;
grant select on trade_conditions to rrr_writer;

insert into trade_conditions (venue, condition, counts, source) values
('binance-usdm', 'insurance_fund', false, 'USD-M futures streams: insurance fund trades are not aggregated'),
('binance-usdm', 'adl', false, 'USD-M futures streams: auto-deleveraging trades are not aggregated'),
('binance-coinm', 'insurance_fund', false, 'COIN-M futures streams: insurance fund trades are not aggregated'),
('binance-coinm', 'adl', false, 'COIN-M futures streams: auto-deleveraging trades are not aggregated');
