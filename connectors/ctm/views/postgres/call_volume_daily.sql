-- needs: accounts, calls
-- Calls of each account's own days. A call that the source no longer has is left out.
WITH accounts_zoned AS (
    SELECT a.id, a.name, coalesce(z.name, '${timezone}') AS zone
    FROM accounts AS a LEFT JOIN pg_timezone_names AS z ON z.name = a.time_zone
    WHERE a._deleted_at IS NULL
)
SELECT
    CAST(timezone(coalesce(a.zone, '${timezone}'), c.called_at) AS date) AS day,
    c.account_id,
    a.name AS account_name,
    count(*) FILTER (WHERE c.direction IN ('inbound', 'outbound')) AS calls,
    count(*) FILTER (WHERE c.direction = 'inbound') AS inbound,
    count(*) FILTER (WHERE c.direction = 'outbound') AS outbound,
    count(*) FILTER (WHERE c.direction NOT IN ('inbound', 'outbound')) AS messages_and_forms,
    count(*) FILTER (WHERE c.direction IN ('inbound', 'outbound') AND c.dial_status IN ('answered', 'completed'))
        AS answered,
    count(*) FILTER (WHERE c.direction = 'inbound' AND c.is_new_caller) AS new_callers,
    CAST(sum(c.talk_time) / 60 AS numeric(18, 1)) AS talk_minutes
FROM calls AS c LEFT JOIN accounts_zoned AS a ON a.id = c.account_id
WHERE c._deleted_at IS NULL
GROUP BY 1, 2, 3
