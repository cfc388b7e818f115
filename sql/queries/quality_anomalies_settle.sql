-- Brings the anomalies of a scope in step with what was found: those not found again go, the others keep when they were found first.
-- The caller holds the scope's lock.
with found as (
    select f.*
    from jsonb_to_recordset(%(found)s) as f (
        rule text, relation text, instrument text, from_time timestamptz, to_time timestamptz, value double precision,
        expected double precision, score double precision, threshold double precision, baseline_version bigint, detail jsonb
    )
),

settled as (
    insert into anomalies (
        rule, relation, instrument, from_time, to_time, value, expected, score, threshold, baseline_version, detail, found_at
    )
    select
        f.rule,
        f.relation,
        f.instrument,
        f.from_time,
        f.to_time,
        f.value,
        f.expected,
        f.score,
        f.threshold,
        f.baseline_version,
        f.detail,
        clock_timestamp()
    from found as f
    on conflict (rule, relation, instrument, from_time)
    do update
        set
            to_time = excluded.to_time,
            value = excluded.value,
            expected = excluded.expected,
            score = excluded.score,
            threshold = excluded.threshold,
            baseline_version = excluded.baseline_version,
            detail = excluded.detail
        where
        (
            anomalies.to_time, anomalies.value, anomalies.expected, anomalies.score, anomalies.threshold, anomalies.baseline_version,
            anomalies.detail
        ) is distinct from (
            excluded.to_time, excluded.value, excluded.expected, excluded.score, excluded.threshold, excluded.baseline_version,
            excluded.detail
        )
    returning anomaly_id, xmax = 0 as is_new
),

removed as (
    delete from anomalies as a
    where
        a.rule = any(%(rules)s)
        and a.relation = %(relation)s
        and (%(instruments)s::text[] is null or a.instrument = any(%(instruments)s))
        and a.from_time >= %(from_time)s
        and a.from_time < %(to_time)s
        and not exists (
            select 1 from found as f
            where f.rule = a.rule and f.relation = a.relation and f.instrument = a.instrument and f.from_time = a.from_time
        )
    returning a.anomaly_id
)

select
    (select count(*) from settled as s where s.is_new) as inserted,
    (select count(*) from removed) as removed;
