-- Keeps rows as they were believed, before they are written anew or removed.
insert into feature_revisions_1m ({columns}, believed_until)
select
    {columns},
    %(known_at)s
from features_1m
where
    (instrument, event_time) in (
        select
            k.instrument,
            k.event_time
        from unnest(%(instruments)s::text[], %(times)s::timestamptz[]) as k (instrument, event_time)
    );
