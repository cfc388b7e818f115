-- Which rows of features are the newest of their instruments that had closed and could be used by a time, as one word that changes with
-- them; null where none closed after another.
select
    md5(
        string_agg(
            f.instrument || ' ' || extract(epoch from f.event_time) || ' ' || extract(epoch from f.known_at), ',' order by f.instrument
        )
    ) as state
from (
    select distinct i.instrument
    from instruments as i
) as named
cross join
    lateral (
        select
            r.instrument,
            r.event_time,
            r.known_at
        from features_1m as r
        where
            r.instrument = named.instrument and r.event_time > %(since)s
            and r.event_time <= %(until)s and r.available_at <= %(until)s
        order by r.event_time desc
        limit 1
    ) as f;
