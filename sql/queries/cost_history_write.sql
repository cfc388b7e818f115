-- A part of a day's cost report.
insert into cost_history (day, relation, tier, row_count, size_bytes, monthly_usd, offer, prices_as_of, measured_at)
values (
    %(day)s, %(relation)s, %(tier)s, %(row_count)s, %(size_bytes)s, %(monthly_usd)s, %(offer)s, %(prices_as_of)s, %(measured_at)s
);
