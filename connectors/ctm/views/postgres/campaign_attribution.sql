-- needs: accounts, calls
-- What each source, medium and campaign brought on each of the account's own days.
WITH accounts_zoned AS (
    SELECT a.id, coalesce(z.name, '${timezone}') AS zone
    FROM accounts AS a LEFT JOIN pg_timezone_names AS z ON z.name = a.time_zone
    WHERE a._deleted_at IS NULL
)
SELECT
    CAST(timezone(coalesce(a.zone, '${timezone}'), c.called_at) AS date) AS day,
    c.account_id,
    c.source,
    c.medium,
    c.campaign,
    count(*) AS calls,
    count(*) FILTER (WHERE c.is_new_caller) AS new_callers,
    count(*) FILTER (WHERE c.dial_status IN ('answered', 'completed')) AS answered,
    count(*) FILTER (WHERE c.sale_conversion) AS conversions,
    sum(c.sale_value) AS sale_value
FROM calls AS c LEFT JOIN accounts_zoned AS a ON a.id = c.account_id
WHERE c._deleted_at IS NULL AND c.direction = 'inbound'
GROUP BY 1, 2, 3, 4, 5
