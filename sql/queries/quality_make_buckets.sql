-- Where a look at a day gathers what its detectors need of the ticks: ten seconds of one instrument's stream in a row, and thresholds
-- of each instrument, with the times that are looked at. Times of a bucket are those of its rows; before and after are the buckets
-- beside it that have rows. One is constant where all its rows tell the same, continues where they tell the same as the one before, is
-- continued where the one after does. A number stands for the instrument while rows are sorted.
create temporary table if not exists quality_thresholds (
    instrument text collate "C" primary key,
    number integer not null,
    from_time timestamptz not null,
    to_time timestamptz not null,
    frozen_seconds double precision not null,
    late_seconds double precision not null,
    clock_skew_seconds double precision not null,
    outside_quote_bps double precision not null,
    return_z double precision not null
) on commit drop;
create temporary table if not exists quality_tick_buckets (
    relation text collate "C" not null,
    instrument text collate "C" not null,
    bucket timestamptz not null,
    row_count bigint not null,
    first_time timestamptz not null,
    last_time timestamptz not null,
    low double precision,
    high double precision,
    mean double precision,
    received bigint not null,
    shortest_lag double precision,
    longest_lag double precision,
    late bigint not null,
    crossed bigint not null,
    locked bigint not null,
    worst_crossing_bps double precision,
    bucket_before timestamptz,
    bucket_after timestamptz,
    low_before double precision,
    high_before double precision,
    mean_before double precision,
    mean_after double precision,
    is_constant boolean not null,
    continues boolean not null,
    is_continued boolean not null
) on commit drop;
truncate quality_thresholds, quality_tick_buckets;
