"""Every option, declared once, validated together, frozen after loading. No torch here."""
