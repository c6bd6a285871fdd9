#!/bin/sh
# A catapult on the moon's or the earth's ground: throws a stone and says how far from the target it lands.
# Usage: catapult.sh ANGLE SPEED STONES PLACE; needs sh and awk.
if [ $# -ne 4 ]; then
    echo "usage: $0 ANGLE SPEED STONES PLACE" >&2
    exit 64
fi
exec awk -v angle="$1" -v speed="$2" -v stones="$3" -v place="$4" 'BEGIN {
    gravity = place == "moon" ? 1.62 : 9.81
    air = place == "moon" ? 0 : 0.002 / stones ^ (1 / 3)     # heavier stones are held up less
    speed /= sqrt(1 + 0.2 * (stones - 1))                    # and thrown more slowly
    radians = angle * 3.141592653589793 / 180
    u = speed * cos(radians); v = speed * sin(radians)
    dt = 0.01
    while (y >= 0 && t < 300) {
        drag = air * sqrt(u * u + v * v)
        u -= drag * u * dt; v -= (gravity + drag * v) * dt
        x += u * dt; y += v * dt; t += dt
        if (y > top) top = y
    }
    if (x > 500) {
        print "it flew over the edge of the field" > "/dev/stderr"
        exit 65                                              # not what is searched, and no failure
    }
    printf "{\"miss\": %.6f, \"height\": %.6f, \"seconds\": %.2f, \"distance\": %.6f}\n", \
        (x > 100 ? x - 100 : 100 - x) / stones, top, t, x
}'
