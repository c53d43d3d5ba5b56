import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** Grants what the lines of a file say, such as "alice READ TOPIC usage". Arguments: a broker's address, the file. */
public class GrantRights {
    public static void main(String[] arguments) throws Exception {
        List<AclBinding> rights = Files.readAllLines(Path.of(arguments[1])).stream().map(GrantRights::right).toList();
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", arguments[0]))) {
            admin.createAcls(rights).all().get();
        }
    }

    private static AclBinding right(String line) {
        String[] words = line.split(" ");
        return new AclBinding(
                new ResourcePattern(ResourceType.valueOf(words[2]), words[3], PatternType.LITERAL),
                new AccessControlEntry("User:" + words[0], "*", AclOperation.valueOf(words[1]), AclPermissionType.ALLOW));
    }
}
