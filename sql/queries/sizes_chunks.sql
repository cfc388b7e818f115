-- Bytes of every chunk of every hypertable, in rows or in the columnstore; what it took before it was moved there, where that is known.
with
ours as materialized (
    select
        h.hypertable_name as relation,
        format('%%I.%%I', h.hypertable_schema, h.hypertable_name)::regclass as hypertable
    from timescaledb_information.hypertables as h
    where h.hypertable_schema = 'public'
),

-- Each function looks at all chunks of a table: once a table, and not once a chunk.
sizes as materialized (
    select
        s.chunk_schema,
        s.chunk_name,
        s.total_bytes,
        s.index_bytes
    from ours
    cross join lateral chunks_detailed_size(ours.hypertable) as s
),

columnar as materialized (
    select
        b.chunk_schema,
        b.chunk_name,
        b.before_compression_total_bytes as before_bytes
    from ours
    cross join lateral chunk_columnstore_stats(ours.hypertable) as b
)

select
    c.hypertable_name as relation,
    (c.range_start at time zone 'UTC')::date as from_day,
    (c.range_end at time zone 'UTC')::date as until_day,
    c.is_compressed,
    s.total_bytes - s.index_bytes as table_bytes,
    s.index_bytes,
    b.before_bytes
from timescaledb_information.chunks as c
inner join sizes as s on c.chunk_schema = s.chunk_schema and c.chunk_name = s.chunk_name
left join columnar as b on c.chunk_schema = b.chunk_schema and c.chunk_name = b.chunk_name
where c.hypertable_schema = 'public'
order by 1, 2;
