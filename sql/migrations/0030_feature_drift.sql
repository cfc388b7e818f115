-- How far features lie from what models were trained on: references with their bins, and a day's numbers against them.

create table feature_references (
    reference_id bigint generated always as identity not null,
    source text not null,
    set_id bigint,
    from_time timestamptz not null,
    until_time timestamptz not null,
    as_known_at timestamptz,
    mark text not null,
    made_at timestamptz not null,
    run_id text,
    constraint feature_references_key primary key (reference_id),
    constraint feature_references_source_accepted check (source in ('training_set', 'rolling')),
    constraint feature_references_mark unique (mark),
    constraint feature_references_training_sets foreign key (set_id) references training_sets (set_id)
);
comment on table feature_references is
'What days of features are held against: the training rows of a set, or the days before. Never changed.';
comment on column feature_references.reference_id is 'The reference''s number.';
comment on column feature_references.source is 'The rows that a training set was made from, or those of the days before.';
comment on column feature_references.set_id is 'The set in training_sets; null of a rolling reference.';
comment on column feature_references.from_time is
'Its rows close from then on; in a set''s, without what is tested on and the embargo. [UTC]';
comment on column feature_references.until_time is 'Its rows close by then. [UTC]';
comment on column feature_references.as_known_at is 'Its rows are as they were believed then; null: when it was made. [UTC]';
comment on column feature_references.mark is 'What it was made from, and by which code: the same mark is the same reference.';
comment on column feature_references.made_at is 'When. [UTC]';
comment on column feature_references.run_id is 'The Dagster run, where one did it.';
grant select on feature_references to rrr_analyst;
grant select, insert on feature_references to rrr_writer;

create table feature_reference_bins (
    reference_id bigint not null,
    instrument text collate "C" not null,
    feature text collate "C" not null,
    row_count bigint not null,
    day_count integer not null,
    missing_rate double precision not null,
    edges double precision[] not null,
    shares double precision[] not null,
    minimum double precision,
    maximum double precision,
    low double precision,
    high double precision,
    usual_psi double precision,
    constraint feature_reference_bins_key primary key (reference_id, instrument, feature),
    constraint feature_reference_bins_feature_references foreign key (reference_id) references feature_references (reference_id),
    constraint feature_reference_bins_shares_parted check (cardinality(shares) in (0, cardinality(edges) + 1))
);
comment on table feature_reference_bins is
'What is kept of a reference: of each feature and instrument its bins by deciles, with the share of its values in each.';
comment on column feature_reference_bins.reference_id is 'The reference in feature_references.';
comment on column feature_reference_bins.instrument is 'Venue and symbol, as in binance:BTCUSDT; * for all of them together.';
comment on column feature_reference_bins.feature is 'Its name.';
comment on column feature_reference_bins.row_count is 'Rows that it is made from. [rows]';
comment on column feature_reference_bins.day_count is 'UTC days that these are of. [days]';
comment on column feature_reference_bins.missing_rate is 'Share of the rows that have no value. [0 to 1]';
comment on column feature_reference_bins.edges is
'What parts the bins: one holds what lies above the edge before it and not above its own; the first and the last are open. [as the feature]';
comment on column feature_reference_bins.shares is 'Share of the values in each bin, one more than edges; none without a value. [0 to 1]';
comment on column feature_reference_bins.minimum is 'The smallest value. [as the feature]';
comment on column feature_reference_bins.maximum is 'The largest value. [as the feature]';
comment on column feature_reference_bins.low is 'The value that half a per cent do not pass. [as the feature]';
comment on column feature_reference_bins.high is 'The value that all but half a per cent do not pass. [as the feature]';
comment on column feature_reference_bins.usual_psi is
'The largest index of one of its own days against its others; null with fewer than three days.';
grant select on feature_reference_bins to rrr_analyst;
grant select, insert on feature_reference_bins to rrr_writer;

create table feature_drift (
    day date not null,
    instrument text collate "C" not null,
    feature text collate "C" not null,
    reference_id bigint,
    row_count bigint not null,
    psi double precision,
    usual_psi double precision,
    missing_rate double precision not null,
    reference_days integer,
    reference_missing_rate double precision,
    out_of_range double precision,
    in_tails double precision,
    shares double precision[] not null,
    computed_at timestamptz not null,
    run_id text,
    constraint feature_drift_key primary key (day, instrument, feature),
    constraint feature_drift_feature_references foreign key (reference_id) references feature_references (reference_id)
);
comment on table feature_drift is
'How far a feature''s values of a UTC day lie from a reference. A day that is looked at again has its new numbers alone.';
comment on column feature_drift.day is 'The day whose minutes they are of. [UTC day]';
comment on column feature_drift.instrument is 'Venue and symbol, as in binance:BTCUSDT; * for all of them together.';
comment on column feature_drift.feature is 'Its name.';
comment on column feature_drift.reference_id is 'What it is held against; null where there is nothing.';
comment on column feature_drift.row_count is 'Rows of the day. [rows]';
comment on column feature_drift.psi is
'Population stability index of the day''s values against the reference''s bins; null with fewer than 200 values in either.';
comment on column feature_drift.usual_psi is 'How large it is without drift: usual_psi of the reference.';
comment on column feature_drift.missing_rate is 'Share of the rows that have no value. [0 to 1]';
comment on column feature_drift.reference_days is 'Days of the reference. [days]';
comment on column feature_drift.reference_missing_rate is 'The same of the reference. [0 to 1]';
comment on column feature_drift.out_of_range is 'Share of them outside the range of a reference of three days or more. [0 to 1]';
comment on column feature_drift.in_tails is 'Share of them outside its middle 99 %. [0 to 1]';
comment on column feature_drift.shares is 'Share of the day''s values in each of the reference''s bins, where it has any. [0 to 1]';
comment on column feature_drift.computed_at is 'When it was computed. [UTC]';
comment on column feature_drift.run_id is 'The Dagster run, where one did it.';
grant select on feature_drift to rrr_analyst;
grant select, insert, delete on feature_drift to rrr_writer;
