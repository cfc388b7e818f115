-- The bill over time: what was kept where on each day, and what it cost a month.

create table cost_history (
    day date not null,
    relation text collate "C" not null,
    tier text not null,
    row_count bigint,
    size_bytes bigint not null,
    monthly_usd numeric not null,
    offer text not null,
    prices_as_of date not null,
    measured_at timestamptz not null,
    constraint cost_history_key primary key (day, relation, tier),
    constraint cost_history_tier_accepted check (tier in ('hot', 'warm', 'cold', 'copy', 'superseded', 'metadata', 'other'))
);
comment on table cost_history is 'What was kept where on each day that a cost report was made of, and what it cost a month by the prices of that day.';
comment on column cost_history.day is 'The day of the report; a later one of the same day replaces it. [UTC day]';
comment on column cost_history.relation is 'The table, or what else is kept or paid for.';
comment on column cost_history.tier is
'Where: hot, warm or cold; copy: in the archive and in the database too; superseded, metadata: objects of the archive that are no rows of today.';
comment on column cost_history.row_count is 'Rows; null where nobody counts. [rows]';
comment on column cost_history.size_bytes is 'Bytes, indexes included. [bytes]';
comment on column cost_history.monthly_usd is 'What it cost, rounded to 12 decimals. [USD a month]';
comment on column cost_history.offer is 'By whose prices.';
comment on column cost_history.prices_as_of is 'Of when the prices are. [UTC day]';
comment on column cost_history.measured_at is 'When it was measured. [UTC]';
grant select on cost_history to rrr_analyst;
grant select, insert, delete on cost_history to rrr_writer;
