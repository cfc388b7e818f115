-- Stores what was judged new or finer.
insert into {table} ({columns}, known_at, batch_id)
select
    {judged_columns},
    %(known_at)s,
    %(batch_id)s
from judged as j
where j.verdict in ('new', 'finer')
order by j.instrument, j.sequence;
