-- What was there of some instruments as of a time: how each was listed, and the batches that told of some days.
with told as (
    select distinct l.batch_id
    from invalidation_log as l
    where
        l.relation in ('raw_trades', 'raw_agg_trades', 'raw_quotes') and l.instrument = any(%(instruments)s::text[])
        and l.day >= %(first_day)s and l.day <= %(last_day)s
)

select
    array(
        select
            jsonb_build_object('instrument', i.instrument, 'listed_on', i.listed_on, 'delisted_on', i.delisted_on)
        from instruments as i
        where
            i.instrument = any(%(instruments)s::text[])
            and i.valid_from <= %(as_known_at)s and (i.valid_to is null or i.valid_to > %(as_known_at)s)
        order by i.instrument
    ) as instruments,
    count(*) as batches,
    max(b.batch_id) as last_batch
from ingest_batches as b
inner join told on b.batch_id = told.batch_id
where b.known_at <= %(as_known_at)s;
